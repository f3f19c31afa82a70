package isolation

import (
	"fmt"
	"testing"
	"time"
)

func TestRatiosArePairByPair(t *testing.T) {
	ms := time.Millisecond
	r := ratios([]time.Duration{30 * ms, 2 * ms, 8 * ms}, []time.Duration{10 * ms, 4 * ms, 4 * ms})
	if fmt.Sprint(r) != "[0.5 2 3]" {
		t.Error(r)
	}
	for p, want := range map[float64]float64{0: 0.5, 0.33: 0.5, 0.5: 2, 0.99: 3, 1: 3} {
		if got := rank(r, p); got != want {
			t.Errorf("rank %v is %v, want %v", p, got, want)
		}
	}
}
