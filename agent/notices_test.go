package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/signin"
)

// told is a PC whose people are told into a list.
func told(t *testing.T, root string) (*notices, *[]string) {
	t.Helper()
	n := newNotices(signin.Config{Root: root}, people{}, newLog(t.Output(), 0, false))
	n.greet, n.know = func(context.Context, string, bool) int { return 0 }, func(time.Time) {}
	var heard []string
	n.wall = func(_ context.Context, text string, softly bool) {
		if softly {
			text = "softly " + text
		}
		heard = append(heard, text)
	}
	return n, &heard
}

func noticeRoot(t *testing.T) (root string, signIn func() string) {
	t.Helper()
	root = t.TempDir()
	for _, dir := range []string{"etc", "run"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root, func() string {
		b, _ := os.ReadFile(filepath.Join(root, "run/motd.d/60-hozen-agent"))
		return string(b)
	}
}

func cutOff() isolate.Status {
	return isolate.Status{
		Desired: isolate.Isolated, Observed: isolate.Isolated, Capable: true, CodeNumber: "123456789012",
		Notice: isolate.Notice{Text: "情報システム部です\x1b[2J\n至急", Phone: "03-1234\n-5678"}, Until: time.Date(2030, 1, 2, 3, 4, 0, 0, time.UTC),
	}
}

func released() isolate.Status {
	return isolate.Status{Desired: isolate.Released, Observed: isolate.Released, Capable: true}
}

func TestPeopleAreToldOnce(t *testing.T) {
	root, signIn := noticeRoot(t)
	n, heard := told(t, root)
	n.tell(t.Context(), released(), isolate.Notice{})
	if len(*heard) != 0 || signIn() != "" {
		t.Fatalf("nothing happened: %q", *heard)
	}
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	if len(*heard) != 1 || (*heard)[0] != signIn() {
		t.Fatalf("told %q", *heard)
	}
	for _, want := range []string{"ネットワーク隔離中", "NETWORK ISOLATED", "電源を切", "Do not switch it off", "03-1234 -5678", "1234-5678-9012", "情報システム部です", "至急", "2030-01-0"} {
		if !strings.Contains(signIn(), want) {
			t.Errorf("%q is not said:\n%s", want, signIn())
		}
	}
	if strings.Contains(signIn(), "\x1b") || strings.Contains(signIn(), "訓練") || strings.Contains(signIn(), "⟦") {
		t.Errorf("%q", signIn())
	}
	// An agent that was killed and started again tells nobody twice, and keeps the text.
	n, heard = told(t, root)
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	if len(*heard) != 0 || signIn() == "" {
		t.Errorf("after a restart: %q", *heard)
	}
	// A leak is no reason to take the text away; nor is a time in which nothing is known.
	for _, s := range []isolate.Status{{Desired: isolate.Isolated, Observed: isolate.Failed, Reason: isolate.Leak, Capable: true}, {Desired: isolate.Isolated, Observed: isolate.Unknown, Reason: isolate.Unmeasured, Capable: true}} {
		s.Notice, s.CodeNumber, s.Until = cutOff().Notice, cutOff().CodeNumber, cutOff().Until
		n.tell(t.Context(), s, isolate.Notice{})
	}
	if len(*heard) != 0 || signIn() == "" {
		t.Errorf("%q", *heard)
	}
	n.tell(t.Context(), released(), isolate.Notice{Text: "ご協力ありがとうございました"})
	n.tell(t.Context(), released(), isolate.Notice{})
	if len(*heard) != 1 || !strings.Contains((*heard)[0], "隔離解除") || !strings.Contains((*heard)[0], "RELEASED") || !strings.Contains((*heard)[0], "ご協力") || signIn() != "" {
		t.Errorf("at release: %q, %q", *heard, signIn())
	}
}

// TestReleasedWhileNobodyRan: an agent that comes back to a released PC takes the text
// away and says so.
func TestReleasedWhileNobodyRan(t *testing.T) {
	root, signIn := noticeRoot(t)
	n, _ := told(t, root)
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	n, heard := told(t, root)
	n.tell(t.Context(), released(), isolate.Notice{})
	if len(*heard) != 1 || signIn() != "" {
		t.Errorf("%q, %q", *heard, signIn())
	}
}

// TestWhoSignsInIsMet: where the system shows nothing at a sign-in, the agent does; one that
// was started again knows when everybody was told.
func TestWhoSignsInIsMet(t *testing.T) {
	board := signin.Config{File: filepath.Join(t.TempDir(), "notice.txt")}
	var met []string
	var knew time.Time
	arrived := 0
	start := func() (*notices, *[]string) {
		n, heard := told(t, "")
		n.board = signin.New(board)
		n.greet = func(_ context.Context, text string, softly bool) int {
			if arrived > 0 {
				met = append(met, text)
			}
			count := arrived
			arrived = 0
			return count
		}
		n.know = func(at time.Time) { knew = at }
		return n, heard
	}
	n, heard := start()
	arrived = 1
	n.meet(t.Context())
	if len(met) != 0 {
		t.Fatalf("told of nothing: %q", met)
	}
	arrived = 0
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	if len(*heard) != 1 || len(met) != 0 || !knew.IsZero() {
		t.Fatalf("at the cut: told %q, met %q, knew of %v", *heard, met, knew)
	}
	arrived = 2
	n.meet(t.Context())
	if len(met) != 1 || met[0] != (*heard)[0] || !strings.Contains(met[0], "03-1234 -5678") || !strings.Contains(met[0], "情報システム部です") {
		t.Fatalf("who signed in is told %q", met)
	}
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	if err := os.Chtimes(board.File, at, at); err != nil {
		t.Fatal(err)
	}
	n, heard = start()
	arrived = 1
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	if len(*heard) != 0 || len(met) != 2 || !knew.Equal(at) {
		t.Errorf("after a restart: told %q, met %d, knew of %v", *heard, len(met), knew)
	}
	if fi, err := os.Stat(board.File); err != nil || !fi.ModTime().After(at) {
		t.Errorf("when they were told is not noted: %v, %v", fi.ModTime(), err)
	}
	n.tell(t.Context(), released(), isolate.Notice{})
	if _, err := os.Stat(board.File); !os.IsNotExist(err) || len(*heard) != 1 || !strings.Contains((*heard)[0], "RELEASED") {
		t.Errorf("at release: %q, %v", *heard, err)
	}
	arrived = 1
	n.meet(t.Context())
	if len(met) != 2 {
		t.Errorf("who signs in after the release is told %q", met[2:])
	}
}

// TestDiedBeforeItWasSaid: an agent that ended between keeping the text and telling people does
// not make the next one believe that they know.
func TestDiedBeforeItWasSaid(t *testing.T) {
	board := signin.Config{File: filepath.Join(t.TempDir(), "notice.txt")}
	n, _ := told(t, "")
	n.board = signin.New(board)
	n.wall = func(context.Context, string, bool) { panic("it ends here") }
	func() {
		defer func() { _ = recover() }()
		n.tell(t.Context(), cutOff(), isolate.Notice{})
	}()
	if text, since := n.board.Shown(); text == "" || !since.IsZero() {
		t.Errorf("since %v: %q", since, text)
	}
	n, heard := told(t, "")
	n.board = signin.New(board)
	knew := time.Now()
	n.know = func(at time.Time) { knew = at }
	n.greet = func(context.Context, string, bool) int { return 1 }
	n.tell(t.Context(), cutOff(), isolate.Notice{})
	if len(*heard) != 0 || !knew.IsZero() {
		t.Errorf("told %q, they are believed to know since %v", *heard, knew)
	}
	if _, since := n.board.Shown(); since.IsZero() {
		t.Error("that they were told now is not noted")
	}
}

// TestTitles: the first line is a message's title, and a drill's mark alone is none.
func TestTitles(t *testing.T) {
	for text, want := range map[string][2]string{
		"【隔離中】切り離しました\n続き\n次\n":        {"【隔離中】切り離しました", "続き\n次"},
		drillMark() + "\nこれは訓練です。\n続き": {drillMark() + " これは訓練です。", "続き"},
		"一行": {"一行", ""},
	} {
		if title, body := titled(text); title != want[0] || body != want[1] {
			t.Errorf("%q: %q, %q", text, title, body)
		}
	}
}

// TestDrillIsSaidFirst: in every text, and without a bell.
func TestDrillIsSaidFirst(t *testing.T) {
	root, signIn := noticeRoot(t)
	st := cutOff()
	st.Drill = true
	n, heard := told(t, root)
	n.tell(t.Context(), st, isolate.Notice{})
	if !strings.HasPrefix(signIn(), "【訓練 / DRILL】") || strings.Contains(signIn(), "電源を切") {
		t.Errorf("%s", signIn())
	}
	n, again := told(t, root) // it does not know of the drill but by what is shown
	n.tell(t.Context(), released(), isolate.Notice{})
	for _, text := range append(*heard, *again...) {
		if !strings.HasPrefix(text, "softly 【訓練 / DRILL】") {
			t.Errorf("%s", text)
		}
	}
	if len(*heard)+len(*again) != 2 {
		t.Errorf("%q %q", *heard, *again)
	}
}

// TestNotCutIsNotTold: nobody is told that the network is cut before that was seen.
func TestNotCutIsNotTold(t *testing.T) {
	root, signIn := noticeRoot(t)
	n, heard := told(t, root)
	st := cutOff()
	st.Observed, st.Reason = isolate.Failed, isolate.NotInForce
	n.tell(t.Context(), st, isolate.Notice{})
	if len(*heard) != 0 || signIn() != "" {
		t.Errorf("%q", *heard)
	}
}

// TestNoticesWithoutFiles: where the files cannot be written, people who are signed in are told
// all the same, and once.
func TestNoticesWithoutFiles(t *testing.T) {
	n, heard := told(t, filepath.Join(t.TempDir(), "none"))
	for range 3 {
		n.tell(t.Context(), cutOff(), isolate.Notice{})
	}
	n.tell(t.Context(), released(), isolate.Notice{})
	if len(*heard) != 2 {
		t.Errorf("%q", *heard)
	}
}

// TestNoticesFollow: what is heard while something is told is told afterwards.
func TestNoticesFollow(t *testing.T) {
	root, signIn := noticeRoot(t)
	n, _ := told(t, root)
	said := make(chan string, 4)
	n.wall = func(_ context.Context, text string, _ bool) { said <- text }
	met := make(chan string, 4)
	n.greet = func(_ context.Context, text string, _ bool) int { met <- text; return 0 }
	others := make(chan bool, 4)
	n.met = func(context.Context) { others <- true }
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); _ = n.run(ctx) }()
	n.follow(cutOff())
	if text := <-said; text != signIn() {
		t.Errorf("%q", text)
	}
	<-met // at every look at the network
	n.arrivals()
	if text := <-met; text != signIn() {
		t.Errorf("who signs in is told %q", text)
	}
	<-others // what else there is to show is met too
	n.farewell(isolate.Notice{Text: "お疲れさまでした"})
	n.follow(released())
	if text := <-said; !strings.Contains(text, "お疲れさまでした") {
		t.Errorf("%q", text)
	}
	cancel()
	<-ended
	var none *notices
	none.follow(cutOff())
	none.farewell(isolate.Notice{})
}
