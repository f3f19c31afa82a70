package main

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/popup"
	"hozen/internal/winapi/wts"
)

// TestMessagesEnd: none stays for ever, and each says when it was true.
func TestMessagesEnd(t *testing.T) {
	for text, body := range map[string]string{"題\n本文\n続き\n": "本文\n続き\n\n", "題": ""} {
		m := messageOf(text, true)
		shown, err := time.ParseInLocation("2006-01-02 15:04 -07:00", strings.TrimPrefix(m.Body, body), time.Local)
		if m.Title != "題" || !m.Quiet || m.For <= 0 || err != nil || time.Since(shown) > time.Hour {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

// TestScreensOfThisPC: who is signed in is known, and a message that this Windows cannot show
// is an error and neither ends nor holds the agent.
func TestScreensOfThisPC(t *testing.T) {
	list, err := screens{}.Sessions()
	if err != nil {
		t.Fatal(err)
	}
	active, err := wts.Active()
	if err != nil || len(list) != len(active) {
		t.Fatalf("%+v, %v; %v", list, active, err)
	}
	for _, s := range list {
		if !slices.Contains(active, s.ID) || s.Since.After(time.Now().Add(time.Minute)) {
			t.Errorf("%+v is none of %v", s, active)
		}
	}
	// No session has this number; nobody's screen is touched.
	if err := (screens{}).Show(0x7ffffff0, popup.Message{Title: "試験 / test", Body: "-", Quiet: true, For: time.Second}); err == nil {
		t.Error("a session that is none takes messages")
	}
}

// TestEnrolCodeOnThisPC: the code goes to the screens of whoever is signed in, and a Windows
// that shows nothing neither ends nor holds the enrolment.
func TestEnrolCodeOnThisPC(t *testing.T) {
	c := newEnrolCode(newLog(t.Output(), 0, false), runtime.GOOS)
	if c.announce == nil || c.greet == nil || c.say == nil {
		t.Fatal("nobody is told")
	}
	c.waits(t.Context(), "4F7K-92QM")
	c.meet(t.Context())
	c.over(t.Context(), true)
}
