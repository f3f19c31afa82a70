package main

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/signin"
	"hozen/internal/i18n"
	"hozen/internal/releasecode"
)

// notices tell the people at the PC that its network is cut, and that it is no longer:
// everybody who is signed in once, and everybody who signs in meanwhile.
//
// Linux's desktops are told by each user's own service manager, see runNotice: a user's message
// bus speaks to that user alone, and the agent has not the rights to become one (CAP_SETUID).
type notices struct {
	board *signin.Board
	// wall tells everybody who is signed in; softly means without a bell.
	wall func(ctx context.Context, text string, softly bool)
	// greet tells those who signed in since, where the system does not, and returns how many;
	// know says when an earlier run told everybody.
	greet func(ctx context.Context, text string, softly bool) (n int)
	know  func(at time.Time)
	// met hears, besides, that somebody may have signed in. Optional.
	met func(ctx context.Context)
	log *slog.Logger

	wake chan struct{}
	mu   sync.Mutex
	last *isolate.Status // to be told
	came bool            // somebody may have signed in
	bye  isolate.Notice  // what the order to release says

	// of the goroutine that tells
	text   string // told to everybody, empty while the network is not cut
	failed string
}

func newNotices(board signin.Config, p people, log *slog.Logger) *notices {
	return &notices{board: signin.New(board), wall: p.announce, greet: p.greet, know: p.know, log: log, wake: make(chan struct{}, 1)}
}

// follow hears what was measured, and does not wait.
func (n *notices) follow(st isolate.Status) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.last = &st
	n.mu.Unlock()
	poke(n.wake)
}

// arrivals hears that somebody may have signed in, and does not wait.
func (n *notices) arrivals() {
	n.mu.Lock()
	n.came = true
	n.mu.Unlock()
	poke(n.wake)
}

// farewell hears what an order to release says to the people at the PC.
func (n *notices) farewell(bye isolate.Notice) {
	if n == nil {
		return
	}
	n.mu.Lock()
	n.bye = bye
	n.mu.Unlock()
}

// run tells until ctx ends. It is a goroutine of its own, because looking after an
// isolation waits neither for a disk nor for a terminal.
func (n *notices) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		}
		n.mu.Lock()
		st, bye, came := n.last, n.bye, n.came
		n.last, n.came = nil, false
		n.mu.Unlock()
		switch {
		case st != nil:
			n.tell(ctx, *st, bye)
		case came:
			n.meet(ctx)
		}
		if came && n.met != nil {
			n.met(ctx)
		}
	}
}

// tell brings what people see up to what was measured.
func (n *notices) tell(ctx context.Context, st isolate.Status, bye isolate.Notice) {
	switch {
	case st.Desired == isolate.Isolated && cut(st):
		text := cutText(st)
		changed, err := n.board.Show(text)
		n.trouble(ctx, err)
		// An agent that was started again finds its text, and tells nobody twice.
		switch {
		case text == n.text:
		case n.text != "" || changed:
			n.log.InfoContext(ctx, "the people at the PC are told that its network is cut")
			n.wall(ctx, signin.Clean(text), st.Drill)
			n.said(ctx)
		default:
			_, at := n.board.Shown()
			n.know(at)
		}
		n.text = text
		n.meet(ctx)
	case st.Desired == isolate.Released && (st.Observed == isolate.Released || !st.Capable):
		was, err := n.board.Clear()
		n.trouble(ctx, err)
		if n.text != "" {
			was = n.text
		}
		if n.text = ""; was != "" {
			n.sayOpen(ctx, was, bye)
			n.farewell(isolate.Notice{})
		}
	}
}

// meet tells who signed in since the others were told.
func (n *notices) meet(ctx context.Context) {
	if n.text == "" {
		return
	}
	if met := n.greet(ctx, signin.Clean(n.text), strings.HasPrefix(n.text, drillMark())); met > 0 {
		n.log.InfoContext(ctx, "who signed in is told that the network is cut", slog.Int("people", met))
		n.said(ctx)
	}
}

// said notes for the next run when people were told. One that finds it wrong tells them again.
func (n *notices) said(ctx context.Context) {
	if err := n.board.Said(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		n.log.DebugContext(ctx, "when people were told is not noted", slog.Any("error", err))
	}
}

// sayOpen tells everybody who is signed in that the network is no longer cut; was is what
// they were told before.
func (n *notices) sayOpen(ctx context.Context, was string, bye isolate.Notice) {
	drill := strings.HasPrefix(was, drillMark())
	n.log.InfoContext(ctx, "the people at the PC are told that its network is no longer cut")
	n.wall(ctx, signin.Clean(openText(drill, bye)), drill)
}

// cut reports whether the network was seen to be cut, if not as it should be.
func cut(st isolate.Status) bool {
	return st.Observed == isolate.Isolated || st.Reason == isolate.Leak || st.Reason == isolate.Incomplete
}

// trouble logs an error once.
func (n *notices) trouble(ctx context.Context, err error) {
	now := ""
	if err != nil {
		now = err.Error()
	}
	if now != "" && now != n.failed {
		n.log.WarnContext(ctx, "who signs in may not be told how the network is", slog.Any("error", err))
	}
	n.failed = now
}

// drillMark begins every text about a drill.
func drillMark() string { return inJapanese("notice.drill") }

func inJapanese(key string) string {
	texts, err := catalogue()
	if err != nil {
		return key
	}
	return texts.Printer(i18n.Japanese).Text(key)
}

// cutText is what people read while the network is cut. It holds no secret: the number of
// a release code is of no use without the collector's key.
func cutText(st isolate.Status) string {
	t := noticeText{drill: st.Drill}
	if st.Drill {
		t.say("notice.cut.drill")
	} else {
		t.say("notice.cut")
		t.say("notice.keep_on")
	}
	if until := st.Until; !until.IsZero() {
		t.say("notice.until", "at", until.Local().Format("2006-01-02 15:04 -07:00"))
	}
	phone := signin.Clean(st.Notice.Phone)
	if phone = strings.TrimSpace(strings.ReplaceAll(phone, "\n", " ")); phone != "" {
		t.say("notice.phone", "phone", phone)
	}
	if st.CodeNumber != "" {
		t.say("notice.number", "number", releasecode.FormatNumber(st.CodeNumber))
	}
	t.say("notice.more")
	return t.with(st.Notice.Text)
}

// openText is what people read when the network is no longer cut.
func openText(drill bool, bye isolate.Notice) string {
	t := noticeText{drill: drill}
	t.say("notice.open")
	return t.with(bye.Text)
}

// titled cuts a text into its first line and the rest. The mark of a drill is a line of its
// own, and is no title by itself.
func titled(text string) (title, body string) {
	title, body, _ = strings.Cut(signin.Clean(text), "\n")
	if title == drillMark() {
		first, rest, _ := strings.Cut(body, "\n")
		title, body = title+" "+first, rest
	}
	return title, strings.TrimRight(body, "\n")
}

// noticeText is a text in both languages, Japanese first; one about a drill says so first
// of all.
type noticeText struct {
	drill  bool
	ja, en []string
}

func (t *noticeText) say(key string, pairs ...string) {
	texts, err := catalogue()
	if err != nil {
		t.ja = append(t.ja, key)
		return
	}
	t.ja = append(t.ja, texts.Printer(i18n.Japanese).Text(key, pairs...))
	t.en = append(t.en, texts.Printer(i18n.English).Text(key, pairs...))
}

// with adds the organisation's own words, in whichever language they are.
func (t *noticeText) with(own string) string {
	var lines []string
	if t.drill {
		lines = append(lines, drillMark())
	}
	lines = append(append(lines, t.ja...), t.en...)
	if own = strings.TrimSpace(own); own != "" {
		o := noticeText{}
		o.say("notice.own")
		lines = append(lines, o.ja[0]+" / "+strings.Join(o.en, ""), strings.TrimSpace(signin.Clean(own)))
	}
	return strings.Join(lines, "\n")
}
