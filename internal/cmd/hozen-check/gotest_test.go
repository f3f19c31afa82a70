package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
)

const events = `{"Action":"start","Package":"hozen/a"}
{"Action":"output","Package":"hozen/a","Test":"TestOne","Output":"one.go:7: broke\n"}
{"Action":"fail","Package":"hozen/a","Test":"TestOne","Elapsed":0.1}
{"Action":"skip","Package":"hozen/a","Test":"TestTwo","Elapsed":0}
{"Action":"pass","Package":"hozen/a","Test":"TestThree","Elapsed":0}
{"Action":"fail","Package":"hozen/a","Elapsed":0.2}
`

func TestReadTestsCountsAndNames(t *testing.T) {
	var out bytes.Buffer
	c := &checker{out: &out}
	if err := c.readTests(strings.NewReader(events), ""); err == nil {
		t.Error("a failed test gave no error")
	}
	if c.passed != 1 || c.failed != 1 || c.skipped != 1 {
		t.Errorf("passed %d, failed %d, skipped %d; want 1 each", c.passed, c.failed, c.skipped)
	}
	if !strings.Contains(out.String(), "one.go:7: broke") || !strings.Contains(out.String(), "hozen/a TestOne") {
		t.Errorf("output does not say what failed:\n%s", out.String())
	}
}

func TestReadTestsPackageThatDoesNotBuild(t *testing.T) {
	const in = `{"ImportPath":"hozen/b","Action":"build-output","Output":"b.go:3:2: undefined: x\n"}
{"ImportPath":"hozen/b","Action":"build-fail"}
{"Action":"fail","Package":"hozen/b","Elapsed":0,"FailedBuild":"hozen/b"}
`
	c := &checker{out: new(bytes.Buffer)}
	err := c.readTests(strings.NewReader(in), "")
	if err == nil || !strings.Contains(err.Error(), "undefined: x") {
		t.Errorf("error %v does not carry the compiler's words", err)
	}
	if c.failed != 1 {
		t.Errorf("failed = %d, want 1", c.failed)
	}
}

func TestMustRunFindsSkippedAndAbsent(t *testing.T) {
	seen := testOutcomes{"hozen/a TestRan": "pass", "hozen/a TestSkipped": "skip"}
	bad, err := seen.lacks("# root tests\na TestRan\na TestSkipped # needs nft\n\na TestGone\n")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(bad, ";"), "a TestGone: did not run;a TestSkipped: skipped"; got != want {
		t.Errorf("lacks = %q, want %q", got, want)
	}
	if _, err := seen.lacks("only-one-word"); err == nil {
		t.Error("a malformed line gave no error")
	}
}

func TestLanesRunAtTheSameTimeAndStepsOfOneInOrder(t *testing.T) {
	var out bytes.Buffer
	c := &checker{out: &out}
	a, b, done := make(chan struct{}), make(chan struct{}), false
	code := c.runAll(t.Context(), []step{
		{"a1", func(context.Context) error { close(a); <-b; return nil }, "a"},
		{"b1", func(context.Context) error { <-a; close(b); return errors.New("b1 is broken") }, "b"},
		{"a2", func(context.Context) error { done = true; return nil }, "a"},
		{"alone", func(context.Context) error {
			if !done {
				t.Error("a step that runs alone ran beside others")
			}
			return nil
		}, ""},
	}, true)
	s := out.String()
	if code != 1 || c.passed != 3 || c.failed != 1 || !strings.Contains(s, "b1 is broken") || strings.Index(s, "── a1") > strings.Index(s, "── a2") {
		t.Errorf("exit code %d, %d passed, %d failed\n%s", code, c.passed, c.failed, s)
	}
}

// What the go command says of modules that it fetches is no complaint.
func TestDownloadsAreNoComplaint(t *testing.T) {
	const script = `printf 'go: downloading example.org/a v1.0.0\n%s' "$0" >&2`
	if err := quiet(t.Context(), "", nil, "sh", "-c", script, ""); err != nil {
		t.Error(err)
	}
	if err := quiet(t.Context(), "", nil, "sh", "-c", script, "diff go.mod"); err == nil || strings.TrimSpace(err.Error()) != "diff go.mod" {
		t.Errorf("got %v, want what it complains of alone", err)
	}
}
