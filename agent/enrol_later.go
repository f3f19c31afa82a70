package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/uplink"
	"hozen/internal/durable"
	"hozen/internal/pki"
)

// laterFile in the state folder is what "enroll --later" leaves for the agent that runs.
const laterFile = "enroll-later.json"

// enrolAgain is how long the agent waits before it tries again.
const enrolAgain = time.Minute

// later is an enrolment that is to be.
type later struct {
	Token string `json:"token"`
}

// leaveToken puts the token where the agent enrols with it once it runs, as often as it
// takes: an installer cannot wait for the network, nor for an operator's approval.
func leaveToken(state string, token pki.Token) error {
	text, err := token.Format()
	if err != nil {
		return err
	}
	b, err := json.Marshal(later{text})
	if err == nil {
		err = durable.WriteFile(filepath.Join(state, laterFile), b, 0o600)
	}
	if err != nil {
		return fmt.Errorf("leave token: %w", err)
	}
	return nil
}

// leftToken returns the token that was left; fs.ErrNotExist when there is none.
func leftToken(state string) (pki.Token, error) {
	b, err := os.ReadFile(filepath.Join(state, laterFile))
	if err != nil {
		return pki.Token{}, err
	}
	var l later
	if err := json.Unmarshal(b, &l); err != nil {
		return pki.Token{}, fmt.Errorf("read token that was left: %w", err)
	}
	return pki.ParseToken(l.Token)
}

// preferred puts an address before those of the token; an empty one changes nothing.
func preferred(token pki.Token, address string) pki.Token {
	if address != "" {
		token.Addresses = append([]string{address}, token.Addresses...)
	}
	return token
}

// enrolLater enrols with a token that an installer left. It ends with nil once the PC is
// enrolled or there is nothing to be done; the agent works all the while.
func (a *agent) enrolLater(ctx context.Context) error {
	path := filepath.Join(a.set.state, laterFile)
	for {
		_, err := a.identity.Enrolment()
		switch {
		case err == nil:
			a.forgetToken(ctx, path)
			return nil
		case !errors.Is(err, identity.ErrNotEnrolled):
			return nil // the connection says what is wrong with it
		}
		token, err := leftToken(a.set.state)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err != nil: // it will not be better later
			a.set.log.ErrorContext(ctx, "the token that was left by the installer is of no use", slog.Any("error", err))
			a.forgetToken(ctx, path)
			return nil
		}
		err = a.enrol(ctx, token)
		switch {
		case err == nil:
			a.forgetToken(ctx, path)
			a.set.log.InfoContext(ctx, "enrolled with the token that was left by the installer")
			return nil
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, uplink.ErrNotAccepted):
			a.set.log.ErrorContext(ctx, "the token that was left by the installer is not accepted", slog.Any("error", err))
			a.forgetToken(ctx, path)
			return nil
		}
		a.set.log.WarnContext(ctx, "not enrolled yet", slog.Any("error", err))
		select {
		case <-time.After(enrolAgain):
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *agent) forgetToken(ctx context.Context, path string) {
	if err := durable.Remove(path); err != nil {
		a.set.log.WarnContext(ctx, "the token that was left by the installer is still there", slog.Any("error", err))
	}
}

// enrol enrols the agent that runs.
func (a *agent) enrol(ctx context.Context, token pki.Token) error {
	key, err := a.identity.Key()
	if err != nil {
		return err
	}
	e, err := uplink.Enroll(ctx, uplink.EnrollConfig{
		Token: token, Key: key, Host: thisHost(), Now: a.identity.Now, Control: a.marks.control,
		Pending: func(code string) {
			a.set.log.InfoContext(ctx, "the enrolment waits for approval", slog.String("code", code))
			a.enrolCode.waits(ctx, code)
		},
	})
	if errors.Is(err, uplink.ErrNotAccepted) {
		a.enrolCode.over(ctx, false)
	}
	if err != nil {
		return err
	}
	if err := a.identity.SaveEnrolment(e); err != nil {
		return err
	}
	a.uplink.Wake()
	a.enrolCode.over(ctx, true)
	return nil
}

// checkLater refuses a command line with --later that says anything but where the token
// is and which collector comes first. An installer puts words of others between quotes, and
// the system runs what comes of it: a quote among them must not begin a further option.
// Where the installer knows but one place, the agent's folders are fixed, too.
func checkLater(args []string, fixed bool) error {
	// How often each may be there, and whether the next word is its value.
	value := map[string]bool{"later": false, "token": true, "token-file": true, "collector": true}
	if !fixed {
		for _, name := range []string{"state", "socket", "config", "lang"} {
			value[name] = true
		}
	}
	seen := map[string]bool{}
	var wrong error
	for i := 0; i < len(args); i++ {
		name, _, inline := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		takes, known := value[name]
		if !strings.HasPrefix(args[i], "-") {
			known, name = false, "a word"
		}
		if !known || seen[name] || !takes && inline {
			wrong = fmt.Errorf("--later: %.20q cannot stand with it, or stands there twice", name)
		}
		seen[name] = true
		if takes && !inline {
			i++
		}
	}
	if !seen["later"] {
		return nil
	}
	return wrong
}

// enrolLater is "enroll --later".
func (c *command) enrolLater(token pki.Token) int {
	err := durable.MkdirAll(c.folder(), 0o700)
	if err == nil {
		err = leaveToken(c.folder(), token)
	}
	if err != nil {
		return c.failed(err)
	}
	c.say("enroll.later")
	return exitOK
}
