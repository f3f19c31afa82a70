package bootverdict

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/windows"

	"hozen/internal/artifact/record"
	"hozen/internal/winapi/evt"
	"hozen/internal/winapi/winboot"
)

const maxDumps = 20

// read asks every source. What ends a session with fast startup ends no boot: the kernel
// goes on, and so does its name.
func read(ctx context.Context, c Config) (in Input, err error) {
	if err := ctx.Err(); err != nil {
		return in, err
	}
	start, err := winboot.Read()
	in.BootID, in.Began = winboot.ID(), start.Began
	trace := c.lastTrace()
	var unread error
	if start.LastShutdown.IsZero() {
		unread = err
	}
	in.Findings = append(in.Findings, ofShutdownTime(start.LastShutdown, trace, start.Began, unread))
	dumps, derr := dumpFiles()
	in.Findings = append(in.Findings, ofDumps(dumps, trace, derr))
	events, eerr := pastEvents()
	in.Findings = append(in.Findings, ofEvents(events, trace, start.Began, eerr)...)
	if errors.Is(eerr, errors.ErrUnsupported) { // told as absent
		eerr = nil
	}
	return in, errors.Join(err, derr, eerr)
}

// pastEvents are what the event log has of ends.
func pastEvents() (list []Event, err error) {
	all, err := evt.ReadPast()
	for _, p := range all {
		list = append(list, Event{Kind: p.Kind, At: p.At, Type: p.Type, Process: p.Process, User: p.User, BugCheck: p.BugCheck, Button: p.Button})
	}
	return list, err
}

// dumpFiles lists the files that a crash leaves where Windows is told to keep them by
// default.
func dumpFiles() (dumps []record.BootDump, err error) {
	root, err := windows.GetSystemWindowsDirectory()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(root, "Minidump", "*.dmp"))
	paths = append([]string{filepath.Join(root, "MEMORY.DMP")}, paths[:min(len(paths), maxDumps)]...)
	for _, path := range paths {
		st, serr := os.Lstat(path)
		switch {
		case serr == nil && st.Mode().IsRegular():
			dumps = append(dumps, record.BootDump{Name: filepath.Base(path), Size: st.Size(), At: st.ModTime().UTC()})
		case serr != nil && !errors.Is(serr, fs.ErrNotExist):
			err = errors.Join(err, serr)
		}
	}
	return dumps, err
}
