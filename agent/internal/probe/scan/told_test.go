package scan

import "testing"

func TestTold(t *testing.T) {
	got := told(lack{1, "fields of %d processes refused"}, lack{0, "%d not reached"}, lack{3, "%d cut"})
	if want := "fields of 1 processes refused, 3 cut"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got := told(lack{0, "%d"}); got != "" {
		t.Errorf("nothing lacks, but it says %q", got)
	}
}
