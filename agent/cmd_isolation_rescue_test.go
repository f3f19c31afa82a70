package main

import (
	"bytes"
	"log/slog"
	"testing"

	"hozen/agent/internal/isolate/isolatetest"
)

// The rules go whether or not the order on disk could be withdrawn, and nothing is called
// released while rules are there.
func TestRescue(t *testing.T) {
	for name, done := range map[string]bool{"nobody could release": false, "released, but rules are left": true} {
		t.Run(name, func(t *testing.T) {
			fw := &isolatetest.Firewall{}
			if err := fw.Apply(t.Context(), isolatetest.PolicyA()); err != nil {
				t.Fatal(err)
			}
			var out, bad bytes.Buffer
			c := newCommand("isolation", func(string) string { return "" }, stdio{out: &out, err: &bad})
			if code := c.rescued(t.Context(), fw, done, slog.New(slog.DiscardHandler)); code != exitNotInForce {
				t.Errorf("exit code %d: %s%s", code, &out, &bad)
			}
			if p, _ := fw.InForce(); (p == nil) == done {
				t.Errorf("in force afterwards: %v", p)
			}
			if out.Len() == 0 {
				t.Error("nothing is said")
			}
		})
	}
}
