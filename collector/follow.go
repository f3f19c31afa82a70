package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/localapi"
)

// wait follows a command to its measured end.
func (c *cli) wait(ctx context.Context, cl *localapi.Client, commandID string, o localapi.Order, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errTimeout)
	defer cancel()
	f := follower{c: c, out: newLiveLine(c.std.err), verb: o.Verb, isolateFirst: o.IsolateFirst}
	var w localapi.Waited
	err := cl.Follow(ctx, "command.wait", localapi.Wait{CommandID: commandID, Evidence: o.Verb == "acquire" || o.Verb == "preserve" && !down(o.Then)}, &w, f.event)
	f.out.clear()
	if err != nil {
		if errors.Is(context.Cause(ctx), errTimeout) {
			return fmt.Errorf("%s: %w", commandID, errTimeout)
		}
		return err
	}
	if err := c.print(w, func() { c.measured(w, o.IsolateFirst) }); err != nil {
		return err
	}
	if w.Command.Status != "done" {
		return errNotDone
	}
	return nil
}

// follower tells what happens meanwhile, on standard error: on a terminal in one line
// that changes, elsewhere in a few lines, each once.
type follower struct {
	c            *cli
	out          *liveLine
	verb, then   string
	isolateFirst bool
	last         string // the step that was told last
}

func (f *follower) event(raw json.RawMessage) error {
	var e localapi.Event
	if err := json.Unmarshal(raw, &e); err != nil {
		return fmt.Errorf("read the collector's answer: %w", err)
	}
	if f.c.json {
		return nil
	}
	switch {
	case e.Command != nil:
		f.verb, f.then = e.Command.Verb, e.Command.Then
		switch e.Command.Status {
		case "queued":
			f.tell("queued", "")
		case "accepted":
			switch {
			case f.verb == "release":
				f.tell("release", "")
			case f.verb == "isolate" && f.isolateFirst:
				f.tell("cut", "")
			default:
				f.tell("capture", "")
			}
		}
	case e.Progress != nil:
		p := e.Progress
		at := f.c.sentence("follow.at", "done", itoa(p.Done), "total", itoa(p.Total), "kind", f.c.word("kind.", p.Kind), "records", itoa(p.Records))
		if p.Expected > 0 {
			at = f.c.sentence("follow.at_bytes", "done", itoa(p.Done), "total", itoa(p.Total), "kind", f.c.word("kind.", p.Kind),
				"bytes", size(int64(p.Bytes)), "expected", size(int64(p.Expected)), "rate", size(int64(p.Rate)))
		}
		f.tell("capture", at)
		if p.Done == p.Total && p.Total > 0 {
			switch {
			case f.verb == "isolate" && !f.isolateFirst:
				f.tell("cut", "")
			case f.verb == "acquire", f.verb == "preserve" && !down(f.then):
				f.tell("send", "")
			case f.verb == "preserve":
				f.tell("seal", "")
			}
		}
	}
	return nil
}

// tell says which step is under way. What stands beside it changes too often for
// anything but a terminal.
func (f *follower) tell(step, at string) {
	if step == "capture" && (f.last == "cut" && !f.isolateFirst || f.last == "send" || f.last == "seal") {
		return // the end of the capture is reported more than once
	}
	said := f.c.sentence("follow." + step)
	if f.out.live {
		f.out.show(strings.TrimSpace(said + "  " + at))
	} else if step != f.last {
		f.out.show(said)
	}
	f.last = step
}

// liveLine is one line that changes on a terminal, and a line for each text elsewhere.
type liveLine struct {
	w       io.Writer
	live    bool
	columns int
	shown   int // columns of what stands there
}

func newLiveLine(w io.Writer) *liveLine {
	l := &liveLine{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		l.live, l.columns = true, 80
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
			l.columns = n
		}
	}
	return l
}

func (l *liveLine) show(text string) {
	text = "  " + inert(text)
	if !l.live {
		fmt.Fprintln(l.w, text)
		return
	}
	// Blanks instead of an escape sequence: consoles that know none show them.
	text = fit(text, l.columns-1)
	n := width(text)
	fmt.Fprint(l.w, "\r"+text+strings.Repeat(" ", max(l.shown-n, 0)))
	l.shown = n
}

func (l *liveLine) clear() {
	if l.live && l.shown > 0 {
		fmt.Fprint(l.w, "\r"+strings.Repeat(" ", l.shown)+"\r")
	}
	l.shown = 0
}

// fit cuts s to so many columns.
func fit(s string, columns int) string {
	n := 0
	for i, r := range s {
		if n += width(string(r)); n > columns {
			return s[:i]
		}
	}
	return s
}

// down reports whether the PC goes down then.
func down(then string) bool { return dispatch.Then(then).Down() }

// Marks of a step.
const (
	markGood    = "✓"
	markBad     = "✗"
	markUnknown = "?"
)

// measured writes what came of a command: each step as far as evidence or a
// measurement shows it, and nothing because it was ordered.
func (c *cli) measured(w localapi.Waited, isolateFirst bool) {
	cmd, i := w.Command, w.Endpoint.Isolation
	c.say("order.ended", "endpoint", name(w.Endpoint), "verb", c.word("verb.", cmd.Verb), "status", c.word("command.status.", cmd.Status))
	if cmd.Detail != "" {
		c.line("  " + c.sentence("order.detail", "detail", cmd.Detail))
	}
	// A measurement from before the order says nothing of it.
	fresh := !i.ReceivedAt.IsZero() && !i.ReceivedAt.Before(cmd.IssuedAt)
	mark := func(good, bad bool) string {
		switch {
		case fresh && good:
			return markGood
		case fresh && bad:
			return markBad
		}
		return markUnknown
	}
	var rows [][]string
	step := func(mark, key, text string) {
		rows = append(rows, []string{"  " + mark + " " + c.word("step.", key), text})
	}
	captured := func() {
		switch a := w.Acquisition; {
		case a != nil:
			step(markGood, "captured", c.sentence("order.evidence", "items", itoa(a.Items), "records", itoa(a.Records), "bytes", size(a.StoredBytes), "outcome", c.word("outcome.", a.Outcome)))
		case cmd.AcquisitionID != "":
			step(markGood, "captured", c.text.Text("order.evidence.later"))
		case cmd.Status == "done":
			step("-", "captured", c.text.Text("order.evidence.none"))
		default:
			step(markUnknown, "captured", "")
		}
	}
	state := c.sentence("order.measured", "state", c.word("isolation.state.", i.Observed), "at", when(i.MeasuredAt))
	isolated, open := i.Observed == "isolated", i.Observed == "released"
	switch cmd.Verb {
	case "isolate":
		if !isolateFirst {
			captured()
		}
		step(mark(isolated || i.Observed == "isolating", open || i.Observed == "failed"), "cut", "")
		step(mark(isolated, true), "read_back", state)
		home := ""
		if fresh {
			home = c.wayHome(i)
		}
		step(mark(isolated && i.WayHome, true), "way_home", home)
		if isolateFirst {
			captured()
		}
	case "release":
		step(mark(open, true), "opened", "")
		step(mark(open, true), "read_back_open", state)
	case "preserve":
		captured()
		if down(cmd.Then) {
			switch dispatch.Status(cmd.Status) {
			case dispatch.Done:
				step("-", "down."+cmd.Then, c.sentence("order.down", "endpoint", name(w.Endpoint)))
			case dispatch.NotDown:
				step(markBad, "down."+cmd.Then, c.words.Text("progress.not_down."+cmd.Then))
			case dispatch.Failed, dispatch.Unsupported, dispatch.Refused:
				step(markBad, "down."+cmd.Then, c.words.Text("progress.kept_on"))
			default:
				step("-", "down."+cmd.Then, c.words.Text("step.state.skipped"))
			}
		}
	default:
		captured()
	}
	c.columns(rows)
	if a := w.Acquisition; a != nil && a.Outcome == "partial" {
		c.say("order.partial")
	}
	if fresh && i.Detail != "" {
		c.line("  " + c.sentence("order.detail", "detail", i.Detail))
	}
	if cmd.Verb == "isolate" && isolated && fresh {
		c.say("order.to_release", "endpoint", name(w.Endpoint))
	}
}
