package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/term"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink"
	"hozen/internal/pki"
)

// runEnroll is "hozen-agent enroll": a token becomes a certificate.
func runEnroll(ctx context.Context, args []string, getenv func(string) string, std stdio) int {
	c := newCommand("enroll", getenv, std)
	var file, text, collector string
	var again, later bool
	var limit time.Duration
	c.set.StringVar(&file, "token-file", "", "")
	c.set.StringVar(&text, "token", "", "")
	c.set.StringVar(&collector, "collector", "", "")
	c.set.BoolVar(&again, "again", false, "")
	c.set.BoolVar(&later, "later", false, "")
	c.set.DurationVar(&limit, "timeout", 0, "")
	words, code, done := c.parse(args, 1)
	if done {
		return code
	}
	if err := checkLater(args, runtime.GOOS == "windows"); err != nil {
		return c.usage(err)
	}
	if len(words) == 1 {
		if text != "" {
			return c.usage(errors.New(c.p.Text("enroll.one_token")))
		}
		text = words[0]
	}
	if text != "" && file != "" {
		return c.usage(errors.New(c.p.Text("enroll.one_token")))
	}
	if text != "" {
		fmt.Fprintln(std.err, c.p.Text("enroll.seen_by_others"))
	}
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	aside, err := guardState(c.folder())
	for _, path := range aside {
		fmt.Fprintln(std.err, c.p.Text("guard.set_aside", "path", path))
	}
	if err != nil {
		return c.failed(err)
	}
	// Before the token is read: a person should not type it in vain.
	store, err := openIdentity(c.folder())
	if err != nil {
		return c.failed(err)
	}
	old, err := store.Enrolment()
	switch {
	case err == nil && later: // an installer that runs again has nothing to do
		c.say("enroll.already", "endpoint", old.EndpointID)
		return exitOK
	case err == nil && !again:
		fmt.Fprintln(std.err, c.p.Text("enroll.already", "endpoint", old.EndpointID))
		return exitUsage
	case err != nil && !errors.Is(err, identity.ErrNotEnrolled):
		return c.failed(err)
	}
	if text, err = c.readToken(ctx, file, text); err != nil {
		return c.failed(err)
	}
	token, err := pki.ParseToken(text)
	if err != nil {
		return c.usage(err)
	}
	if token = preferred(token, collector); later {
		return c.enrolLater(token)
	}
	// The old identity stays until there is a new one.
	fresh := filepath.Join(c.folder(), "identity.new")
	if again {
		if err := os.RemoveAll(fresh); err != nil {
			return c.failed(err)
		}
		if store, err = identity.Open(fresh); err != nil {
			return c.failed(err)
		}
	}
	key, err := store.Key()
	if err != nil {
		return c.failed(err)
	}
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	e, err := uplink.Enroll(ctx, uplink.EnrollConfig{
		Token: token, Key: key, Host: thisHost(), Now: store.Now,
		Pending: func(code string) { c.say("enroll.pending", "code", code) },
	})
	if err == nil {
		err = store.SaveEnrolment(e)
	}
	if err == nil && again {
		err = replaceIdentity(c.folder(), fresh)
	}
	if err != nil {
		return c.failed(err)
	}
	c.say("enroll.done", "endpoint", e.EndpointID)
	// An agent that runs already need not wait for its next attempt.
	if _, err := localapi.Do(ctx, c.socketPath(), localapi.Request{Verb: localapi.VerbWake}, nil); err != nil {
		c.say("enroll.next")
	}
	return exitOK
}

// replaceIdentity puts the identity in fresh in the place of the present one.
func replaceIdentity(state, fresh string) error {
	present := filepath.Join(state, "identity")
	old := present + ".old"
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("replace identity: %w", err)
	}
	if err := os.Rename(present, old); err != nil {
		return fmt.Errorf("replace identity: %w", err)
	}
	if err := os.Rename(fresh, present); err != nil {
		return fmt.Errorf("replace identity: %w", errors.Join(err, os.Rename(old, present)))
	}
	if err := os.RemoveAll(old); err != nil {
		return fmt.Errorf("remove old identity: %w", err)
	}
	return nil
}

// readToken takes the token from where the command line says, or asks for it.
func (c *command) readToken(ctx context.Context, file, text string) (string, error) {
	if text != "" {
		return text, nil
	}
	if file != "" && file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return "", fmt.Errorf("read token: %w", err)
		}
		defer f.Close()
		return readLine(f)
	}
	if f, ok := c.std.in.(*os.File); ok && isTerminal(f) && file == "" {
		fmt.Fprint(c.std.err, c.p.Text("enroll.ask"))
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.std.err)
		if err != nil {
			return "", fmt.Errorf("read token: %w", errors.Join(err, ctx.Err()))
		}
		return string(b), nil
	}
	return readLine(c.std.in)
}

// readLine reads one line and no more than a token can have.
func readLine(r io.Reader) (string, error) {
	s, err := bufio.NewReader(io.LimitReader(r, pki.MaxToken+2)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read token: %w", err)
	}
	if strings.TrimSpace(s) == "" {
		return "", errors.New("read token: nothing was given")
	}
	return s, nil
}
