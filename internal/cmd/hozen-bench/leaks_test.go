package main

import "testing"

func TestParseLeaks(t *testing.T) {
	l, err := parseLeaks([]byte("=== RUN\n    system_windows_test.go:253: 1000 runs of 23.4ms each: handles 102 → 110, threads 9 → 12, goroutines 4 → 3, heap 913 → 1007 kB\n--- PASS"))
	if want := (leaks{1000, 8, -1, 94}); err != nil || l != want {
		t.Errorf("%+v, %v", l, err)
	}
	for _, bad := range []string{"", "1000 runs of 2ms each: handles 1", "99999999999999999999 runs of 2ms each: handles 1 → 2, threads 1 → 1, goroutines 1 → 1, heap 1 → 1 kB"} {
		if l, err := parseLeaks([]byte(bad)); err == nil {
			t.Errorf("%q: %+v", bad, l)
		}
	}
}
