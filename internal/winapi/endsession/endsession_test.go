package endsession

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestEndingOf(t *testing.T) {
	for _, c := range []struct {
		message uint32
		w, l    uintptr
		want    Ending
	}{
		{wmQueryEndSession, 0, 0, Down},
		{wmQueryEndSession, 0, 1, Down}, // ENDSESSION_CLOSEAPP: an update wants files
		{wmQueryEndSession, 0, 0x80000000, Logoff},
		{wmQueryEndSession, 0, 0xffffffff80000000, Logoff}, // sign extended
		{wmEndSession, 0, 0, Cancelled},
		{wmEndSession, 1, 0, ""},
		{0x0f, 0, 0, ""},
	} {
		if got, ok := endingOf(c.message, c.w, c.l); got != c.want || ok != (c.want != "") {
			t.Errorf("%#x %#x %#x: %q", c.message, c.w, c.l, got)
		}
	}
}

// TestWaiting: what is soon done is never explained, what takes longer is.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for took, want := range map[time.Duration]bool{0: false, 400 * time.Millisecond: false, 3 * time.Second: true} {
			began := time.Now()
			late := waiting(func() { <-time.After(took) }, time.Second)
			if (late != nil) != want {
				t.Errorf("%s: explained: %t", took, late != nil)
			}
			if late != nil {
				<-late
			}
			if all := time.Since(began); all != took {
				t.Errorf("%s: it was waited for %s", took, all)
			}
		}
	})
}
