package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// wallLimit is how long all terminals together may take.
const wallLimit = 300 * time.Millisecond

// tellTerminals writes a text to the terminals of everybody who is signed in, as wall(1) does.
// A terminal that takes nothing is left out.
func tellTerminals(ctx context.Context, text string, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, wallLimit)
	defer cancel()
	b := []byte("\r\n\a" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	seen := map[string]bool{}
	for _, s := range signIns(ctx) {
		if !isTTY(s.TTY) || seen[s.TTY] {
			continue
		}
		seen[s.TTY] = true
		if err := writeTTY("/dev/"+s.TTY, b); err != nil {
			log.DebugContext(ctx, "somebody was not told", slog.String("terminal", s.TTY), slog.Any("error", err))
		}
	}
}

// isTTY keeps to names that terminals have: what the files of sign-ins say is not ours.
func isTTY(name string) bool {
	ok, err := regexp.MatchString(`^(tty[A-Za-z]*[0-9]+|pts/[0-9]+)$`, name)
	return ok && err == nil
}

func writeTTY(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	if fi.Mode()&os.ModeCharDevice == 0 {
		return errors.New("not a terminal")
	}
	if err := f.SetWriteDeadline(time.Now().Add(wallLimit / 3)); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return err
	}
	_, err = f.Write(b)
	return err
}
