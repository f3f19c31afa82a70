package main

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"hozen/agent/internal/signin"
)

// enrolCode shows the people at the PC the code that an operator compares before approving
// its enrolment: an installer leaves no window in which it could stand. Where announce is
// nil, whoever enrols has a terminal and reads it there.
type enrolCode struct {
	announce func(ctx context.Context, text string, softly bool)
	greet    func(ctx context.Context, text string, softly bool) (n int)
	say      func(ctx context.Context, text string)

	mu   sync.Mutex
	code string // waits for approval; empty: none does
}

// newEnrolCode has screens of its own: what it shows and what is shown of a cut network
// stand beside each other.
func newEnrolCode(log *slog.Logger, goos string) *enrolCode {
	if goos != onWindows {
		return &enrolCode{}
	}
	p := newPeople(log)
	return &enrolCode{announce: p.announce, greet: p.greet, say: p.say}
}

// waits hears of a code. One that stands already is not announced again.
func (c *enrolCode) waits(ctx context.Context, code string) {
	if was := c.swap(code); c.announce != nil && was != code {
		c.announce(ctx, codeText(code), true)
	}
}

// meet shows it to who signed in since.
func (c *enrolCode) meet(ctx context.Context) {
	c.mu.Lock()
	code := c.code
	c.mu.Unlock()
	if c.greet != nil && code != "" {
		c.greet(ctx, codeText(code), true)
	}
}

// over hears that nothing waits any more, and whether the PC is enrolled: the code may
// stand on a screen still.
func (c *enrolCode) over(ctx context.Context, enrolled bool) {
	if was := c.swap(""); c.say == nil || was == "" {
		return
	}
	t := noticeText{}
	if enrolled {
		t.say("notice.enrol.done")
	} else {
		t.say("notice.enrol.refused")
	}
	c.say(ctx, t.with(""))
}

func (c *enrolCode) swap(code string) (was string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was, c.code = c.code, code
	return was
}

// codeText begins with the code, which is what is looked for.
func codeText(code string) string {
	t := noticeText{}
	t.say("notice.enrol", "code", strings.TrimSpace(signin.Clean(code)))
	return t.with("")
}
