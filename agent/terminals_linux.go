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
// A terminal that takes nothing is left out, and one that keeps us in the kernel is left
// behind.
func tellTerminals(ctx context.Context, text string, log *slog.Logger) {
	wallTerminals(ctx, text, false, log)
}

// wallTerminals is tellTerminals; softly means without a bell.
func wallTerminals(ctx context.Context, text string, softly bool, log *slog.Logger) {
	if !softly {
		text = "\a" + text
	}
	ctx, cancel := context.WithTimeout(ctx, wallLimit)
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer cancel()
		var names []string
		for _, s := range signIns(ctx) {
			names = append(names, s.TTY)
		}
		tellEach(ctx, names, text, log, writeTTY)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// tellEach writes to each terminal once, until ctx ends.
func tellEach(ctx context.Context, names []string, text string, log *slog.Logger, write func(ctx context.Context, path string, b []byte) error) {
	b := []byte("\r\n" + strings.ReplaceAll(text, "\n", "\r\n") + "\r\n")
	seen := map[string]bool{}
	for _, name := range names {
		if !isTTY(name) || seen[name] {
			continue
		}
		seen[name] = true
		if err := write(ctx, "/dev/"+name, b); err != nil {
			log.WarnContext(ctx, "somebody was not told", slog.String("terminal", name), slog.Any("error", err))
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// isTTY keeps to names that terminals have: what the files of sign-ins say is not ours.
func isTTY(name string) bool {
	ok, err := regexp.MatchString(`^(tty[A-Za-z]*[0-9]+|pts/[0-9]+)$`, name)
	return ok && err == nil
}

func writeTTY(ctx context.Context, path string, b []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
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
	end := time.Now().Add(wallLimit / 3)
	if all, ok := ctx.Deadline(); ok && all.Before(end) {
		end = all
	}
	if err := f.SetWriteDeadline(end); err != nil && !errors.Is(err, os.ErrNoDeadline) {
		return err
	}
	_, err = f.Write(b)
	return err
}
