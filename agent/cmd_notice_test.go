package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hozen/agent/internal/desktop"
	"hozen/agent/internal/isolate"
)

// TestNoticeOnDesktop: each text once for each sign-in, and its end.
func TestNoticeOnDesktop(t *testing.T) {
	linuxOnly(t, "the desktop is told over D-Bus")
	root, _ := noticeRoot(t)
	own := t.TempDir()
	var shown []desktop.Notice
	var fail error
	show := func(_ context.Context, address string, n desktop.Notice) error {
		if address != "unix:path="+own+"/bus" {
			t.Errorf("asked %s", address)
		}
		if fail == nil {
			shown = append(shown, n)
		}
		return fail
	}
	look := func() {
		t.Helper()
		if err := noticeOnDesktop(t.Context(), root, own, show); !errors.Is(err, fail) {
			t.Fatal(err)
		}
	}
	look()
	agent, _ := told(t, root)
	agent.tell(t.Context(), cutOff(), isolate.Notice{})
	fail = errors.New("no desktop yet")
	look()
	fail = nil
	look()
	look()
	agent.tell(t.Context(), released(), isolate.Notice{})
	look()
	look()
	st := cutOff()
	st.Drill = true
	agent.tell(t.Context(), st, isolate.Notice{})
	look()
	agent.tell(t.Context(), released(), isolate.Notice{})
	look()
	var titles []string
	for _, n := range shown {
		titles = append(titles, n.Title)
	}
	if len(shown) != 4 || !strings.Contains(titles[0], "ネットワーク隔離中") || !strings.Contains(titles[1], "隔離解除") ||
		!strings.HasPrefix(titles[2], "【訓練 / DRILL】 ") || !strings.HasPrefix(titles[3], "【訓練 / DRILL】 ") ||
		shown[0].Quiet || shown[1].Quiet || !shown[2].Quiet || !shown[3].Quiet || !strings.Contains(shown[0].Body, "03-1234") {
		t.Errorf("%q\n%+v", titles, shown)
	}
	if _, err := os.Stat(filepath.Join(own, "hozen-agent-notice")); err == nil {
		t.Error("it remembers what is over")
	}
	if err := noticeOnDesktop(t.Context(), root, "", show); err == nil {
		t.Error("shown to nobody")
	}
}
