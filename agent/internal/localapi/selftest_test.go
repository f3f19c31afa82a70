package localapi

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestSelfTest(t *testing.T) {
	a := &agent{}
	path := serve(t, a)
	checks := []Check{{Check: "agent", Outcome: "ok"}, {Check: "rehearsal", Outcome: "bad", Detail: "止まらない", TookNS: 5}}
	last, err := Do(t.Context(), path, Request{Verb: VerbSelfTest, Checks: checks}, nil)
	if ownUID(t) != rootUser {
		if !errors.Is(err, ErrRefused) || last.Code != CodeDenied || a.checks != nil {
			t.Fatalf("%+v %v", last, err)
		}
		return
	}
	if err != nil || last.Preserve == nil || last.Preserve.AcquisitionID != "acq_t" || !slices.Equal(a.checks, checks) {
		t.Fatalf("%+v %v %+v", last, err, a.checks)
	}
}

func TestSelfTestIsReadStrictly(t *testing.T) {
	one := `{"check":"a","outcome":"ok"}`
	for name, line := range map[string]string{
		"none":       `{"verb":"selftest"}`,
		"of another": `{"verb":"status","checks":[` + one + `]}`,
		"too many":   `{"verb":"selftest","checks":[` + strings.Repeat(one+",", MaxChecks) + one + `]}`,
		"too long":   `{"verb":"selftest","checks":[{"check":"a","outcome":"` + strings.Repeat("x", MaxCheckText+1) + `"}]}`,
		"nameless":   `{"verb":"selftest","checks":[{"outcome":"ok"}]}`,
		"negative":   `{"verb":"selftest","checks":[{"check":"a","outcome":"ok","took_ns":-1}]}`,
	} {
		if r, err := parseRequest([]byte(line)); err == nil {
			t.Errorf("%s: read as %+v", name, r)
		}
	}
}
