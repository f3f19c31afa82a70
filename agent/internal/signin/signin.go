// Package signin keeps a text where people see it when they sign in to the PC: under the
// prompt of a console, and right after a sign-in. It knows nothing of what the text is
// about.
//
// References: agetty(8), which shows /etc/issue.d only where there is /etc/issue and
// /run/issue.d only where there is not (util-linux 2.38); pam_motd(8), which shows
// /run/motd.d. What is in /run is gone at the next start of the PC.
package signin

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unicode"
)

// Config is the manual of a Board.
type Config struct {
	// Root is the folder in which the system's files are, "/" for those of this PC. Empty:
	// nothing is shown.
	Root string
	// File is where the text is kept instead of in the system's files, for a system that
	// shows none: there it only tells the next run of the program what was said, and when.
	// Its folder is there. Optional.
	File string
}

// Board is where the text is. Its methods are for one caller at a time.
type Board struct{ root, file string }

// New returns a Board; it touches nothing.
func New(c Config) *Board { return &Board{c.Root, c.File} }

const (
	motd      = "run/motd.d/60-hozen-agent"
	issueName = "issue.d/60-hozen-agent.issue"
	// temporary is beside the folder and not in it, where it would be shown.
	temporary = ".hozen-agent-notice.tmp"
	// made marks a folder below /etc that was not there; agetty shows no file of this name.
	made = ".made-by-hozen-agent"

	// MaxText bounds a text, in bytes.
	MaxText = 4 << 10
	maxLine = 60 // lines
)

// Show shows text until [Board.Clear], also when the program that called it ends. Showing the same
// again changes nothing, and puts back what is missing. changed says that signing in
// told something else before.
func (b *Board) Show(text string) (changed bool, err error) {
	text = Clean(text)
	switch {
	case b.file != "":
		return b.write(b.file, filepath.Dir(b.file), text)
	case b.root == "":
		return true, nil
	}
	changed, err = b.put(motd, text)
	// What agetty would take for its own escapes is spelt so that it is not.
	_, ierr := b.put(b.issue(), "\n"+strings.ReplaceAll(text, `\`, `\\`)+"\n")
	return changed, errors.Join(err, ierr)
}

// Clear takes the text away, whichever program put it there. was is what was shown, empty
// if nothing was.
func (b *Board) Clear() (was string, err error) {
	paths := []string{b.file}
	switch {
	case b.file != "":
	case b.root == "":
		return "", nil
	default:
		paths = []string{filepath.Join(b.root, "etc", issueName), filepath.Join(b.root, "run", issueName), filepath.Join(b.root, motd)}
	}
	for _, path := range paths {
		text, rerr := read(path)
		if errors.Is(rerr, fs.ErrNotExist) {
			continue
		}
		if text != "" {
			was = text
		}
		if rerr := os.Remove(path); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}
	if b.file != "" {
		return strings.TrimSpace(was), err
	}
	dir := filepath.Join(b.root, "etc", filepath.Dir(issueName))
	if os.Remove(filepath.Join(dir, made)) == nil {
		_ = os.Remove(dir) // not if somebody else uses it by now
	}
	return strings.TrimSpace(was), err
}

// unsaid is the time of a [Config.File] of which nobody was told yet.
func unsaid() time.Time { return time.Unix(0, 0) }

// Shown returns what is shown, by whichever program, and since when or since the last
// [Board.Said]; empty if nothing is. A text of Config.File of which nobody was told has no time.
func (b *Board) Shown() (text string, since time.Time) {
	path := b.path()
	text, err := read(path)
	fi, serr := os.Stat(path)
	if path == "" || err != nil || serr != nil {
		return "", time.Time{}
	}
	if since = fi.ModTime(); since.Equal(unsaid()) {
		since = time.Time{}
	}
	return strings.TrimSpace(text), since
}

// Said notes that people were told just now. It is not synced.
func (b *Board) Said() error {
	path := b.path()
	if path == "" {
		return nil
	}
	now := time.Now()
	return os.Chtimes(path, now, now)
}

func (b *Board) path() string {
	if b.file == "" && b.root != "" {
		return filepath.Join(b.root, motd)
	}
	return b.file
}

func (b *Board) issue() string {
	if _, err := os.Stat(filepath.Join(b.root, "etc/issue")); err == nil {
		return "etc/" + issueName
	}
	return "run/" + issueName
}

// put makes name hold text, whole or not at all. It is not synced: what a power cut takes
// is written again when the PC has started.
func (b *Board) put(name, text string) (changed bool, err error) {
	path := filepath.Join(b.root, name)
	dir := filepath.Dir(path)
	if err := os.Mkdir(dir, 0o755); err == nil {
		err = os.Chmod(dir, 0o755) // whatever the umask
		if err == nil && strings.HasPrefix(name, "etc/") {
			err = os.WriteFile(filepath.Join(dir, made), nil, 0o644)
		}
		if err != nil {
			return true, err
		}
	} else if !errors.Is(err, fs.ErrExist) {
		return true, err
	}
	return b.write(path, filepath.Dir(dir), text)
}

// write makes path hold text, by way of a file in the folder beside.
func (b *Board) write(path, beside, text string) (changed bool, err error) {
	if had, err := read(path); err == nil && had == text {
		return false, nil
	}
	tmp := filepath.Join(beside, temporary)
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return true, err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return true, err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil && path == b.file {
		err = os.Chtimes(tmp, unsaid(), unsaid())
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return true, errors.Join(err, os.Remove(tmp))
	}
	return true, nil
}

func read(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, 4*MaxText))
	return string(b), err
}

// Clean makes a text from elsewhere harmless on a terminal: lines of printable characters,
// and not too much of it.
func Clean(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			return r
		case r == '\r':
			return -1
		}
		return ' ' // the Japanese space is none to IsPrint, and a space will do
	}, strings.ToValidUTF8(text, "\uFFFD"))
	lines := strings.Split(strings.Trim(text, "\n "), "\n")
	if len(lines) > maxLine {
		lines = lines[:maxLine]
	}
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	text = strings.Join(lines, "\n")
	if n := MaxText - 1; len(text) > n { // between two characters
		for n > 0 && text[n]&0xc0 == 0x80 {
			n--
		}
		text = text[:n]
	}
	return strings.TrimRight(text, "\n ") + "\n"
}
