package main

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/popup"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winsys"
	"hozen/agent/internal/signin"
	"hozen/internal/winapi/wts"
)

const (
	// momentStays is how long a message of the moment is on a screen.
	momentStays = time.Minute
	// stays is how long one is that stands; then it is shown anew. Nothing can take it away
	// sooner but a click, and it is wrong from the moment that another one is true.
	stays = 10 * time.Minute
)

// people are whoever is signed in to the PC: each session's screen shows a message. Windows
// shows nothing at a sign-in by itself but what an administrator may have set, which is left
// alone; so the agent tells those who signed in, when the service manager tells of them.
type people struct{ *popup.Teller }

func newPeople(log *slog.Logger) people {
	return people{popup.New(popup.Config{Screens: screens{}, Again: stays, Log: log})}
}

// announce tells everybody what stands from now on; softly means without a sound.
func (p people) announce(ctx context.Context, text string, softly bool) {
	p.Announce(ctx, messageOf(text, softly))
}

// greet tells those who signed in since, and returns how many.
func (p people) greet(ctx context.Context, text string, softly bool) (n int) {
	return p.Greet(ctx, messageOf(text, softly))
}

// know says that an earlier run announced what stands, at that time.
func (p people) know(at time.Time) { p.Known(at) }

// say tells everybody something of this moment.
func (p people) say(ctx context.Context, text string) {
	m := messageOf(text, false)
	m.For = momentStays
	p.Say(ctx, m)
}

// messageOf says when it was true, because an older message may stand beside it.
func messageOf(text string, softly bool) popup.Message {
	title, body := titled(text)
	body = strings.TrimPrefix(body+"\n\n"+time.Now().Format("2006-01-02 15:04 -07:00"), "\n\n")
	return popup.Message{Title: title, Body: body, Quiet: softly, For: stays}
}

// noticeBoard keeps what is told, so that an agent that was started again tells nobody twice;
// nothing is kept where root is empty.
func noticeBoard(root, state string) (c signin.Config) {
	if root != "" {
		c.File = filepath.Join(state, "notice.txt")
	}
	return c
}

// screens are those of this PC.
type screens struct{}

// Sessions lists those that somebody is signed in to.
func (screens) Sessions() (list []popup.Session, err error) {
	terminals, err := winsys.System{}.Terminals()
	for _, t := range terminals {
		if t.State != windows.WTSActive && t.State != windows.WTSDisconnected {
			continue
		}
		s := popup.Session{ID: t.ID}
		if i, err := winbytes.TerminalSession(t.Info); err == nil {
			s.Since = i.LoggedOn
		}
		list = append(list, s)
	}
	return list, err
}

// Show shows a message and does not wait until it is closed.
func (screens) Show(session uint32, m popup.Message) error {
	style := uint32(wts.Warning)
	if m.Quiet {
		style = wts.Notice
	}
	return wts.Message(session, m.Title, m.Body, style, m.For)
}
