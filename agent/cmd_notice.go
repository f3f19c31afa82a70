package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/agent/internal/desktop"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/signin"
)

// noticeLimit is how long a desktop may take to show a notice; it may still be starting.
const noticeLimit = 20 * time.Second

// runNotice is "hozen-agent notice", which a unit of each user's own service manager runs
// when what people are told changes, and when they have signed in at a desktop: it shows
// that there. It runs with the user's rights alone and asks nobody else; the agent itself
// can reach no user's message bus, which speaks to that user only.
func runNotice(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("notice", getenv, std)
	root := "/"
	c.set.StringVar(&root, "root", root, "")
	if _, code, done := c.parse(args, 0); done {
		return code
	}
	if err := noticeOnDesktop(ctx, root, getenv("XDG_RUNTIME_DIR"), desktop.Show); err != nil {
		return c.failed(err)
	}
	return exitOK
}

// noticeOnDesktop shows what people are told. own is the user's runtime folder, in which
// the text that was shown last is remembered until they sign out.
func noticeOnDesktop(ctx context.Context, root, own string, show func(context.Context, string, desktop.Notice) error) error {
	if own == "" {
		return errors.New("XDG_RUNTIME_DIR is not set: nobody is signed in at a desktop")
	}
	text, _ := signin.New(signin.Config{Root: root}).Shown()
	memory := filepath.Join(own, "hozen-agent-notice")
	before, err := os.ReadFile(memory)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if text == string(before) {
		return nil
	}
	say := text
	if text == "" {
		say = openText(strings.HasPrefix(string(before), drillMark()), isolate.Notice{})
	}
	n := desktop.Notice{Quiet: strings.HasPrefix(say, drillMark())}
	n.Title, n.Body = titled(say)
	ctx, cancel := context.WithTimeout(ctx, noticeLimit)
	defer cancel()
	if err := show(ctx, "unix:path="+filepath.Join(own, "bus"), n); err != nil {
		return err
	}
	if text == "" {
		return os.Remove(memory)
	}
	return os.WriteFile(memory, []byte(text), 0o600)
}
