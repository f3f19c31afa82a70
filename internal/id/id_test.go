package id_test

import (
	"strings"
	"testing"

	"hozen/internal/id"
)

func TestNewIsValidAndSorts(t *testing.T) {
	last := ""
	for range 1000 {
		s := id.New(id.Acquisition)
		if err := id.Check(id.Acquisition, s); err != nil {
			t.Fatal(err)
		}
		if s <= last {
			t.Fatalf("%q does not sort after %q", s, last)
		}
		last = s
	}
}

func TestCheckRefuses(t *testing.T) {
	good := id.New(id.Endpoint)
	for _, bad := range []string{"", "end_", good + "0", good[:len(good)-1], strings.ToUpper(good), "acq" + good[3:],
		"end_../../../../../../etc/passw", "end_" + strings.Repeat("z", 26), "end_" + strings.Repeat("i", 26)} {
		if id.Check(id.Endpoint, bad) == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
