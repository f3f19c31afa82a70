package endsession

import "testing"

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
