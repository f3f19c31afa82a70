package main

import (
	"slices"
	"testing"
)

func TestOpenTo(t *testing.T) {
	for sddl, want := range map[string][]string{
		"O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)":                            nil,
		"D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)(A;OICI;0x1200a9;;;BU)":                {"BU"},
		"O:BAG:SYD:AI(A;ID;FA;;;SY)(A;OICIIOID;GA;;;CO)(A;ID;FR;;;WD)(D;;FA;;;AU)": {"WD"},
		"D:(A;;FR;;;S-1-5-11)(A;;FA;;;S-1-5-21-1-2-3-1001)(XA;;FR;;;S-1-1-0;(x))":  {"S-1-5-11", "S-1-1-0"},
		"":        nil,
		"D:(A;;F": nil,
		"D:((((":  nil,
	} {
		if got := openTo(sddl); !slices.Equal(got, want) {
			t.Errorf("%s: %q", sddl, got)
		}
	}
}

func FuzzOpenTo(f *testing.F) {
	f.Add("D:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)")
	f.Fuzz(func(_ *testing.T, s string) { openTo(s) })
}
