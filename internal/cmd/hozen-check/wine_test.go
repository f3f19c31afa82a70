package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestPackagesWithWindowsCode(t *testing.T) {
	const linux = `hozen/a code a.go
hozen/a code a_linux.go
hozen/a test a_test.go
hozen/b code b.go
hozen/b test b_test.go
hozen/c code c.go
`
	const windows = `hozen/a code a.go
hozen/a code a_windows.go
hozen/a test a_test.go
hozen/b code b.go
hozen/b code b_other.go
hozen/b test b_test.go
hozen/c code c.go
hozen/c code c_windows.go
hozen/d code d.go
hozen/d test d_test.go
hozen/e code e.go
hozen/internal/e2e code x_windows.go
hozen/internal/e2e test x_test.go
`
	// c has no test; d is for Windows alone.
	if got, want := withWindowsCode(linux, windows), []string{"hozen/a", "hozen/d"}; !slices.Equal(got, want) {
		t.Errorf("packages %q, want %q", got, want)
	}
}

// TestTestsOfTwoSystemsAreTwoTests: what was skipped on one system is not made good by the
// other one.
func TestTestsOfTwoSystemsAreTwoTests(t *testing.T) {
	c := &checker{out: new(bytes.Buffer)}
	for mark, events := range map[string]string{
		"":        `{"Action":"pass","Package":"hozen/a","Test":"TestOne"}`,
		onWindows: `{"Action":"skip","Package":"hozen/a","Test":"TestOne"}`,
	} {
		if err := c.readTests(strings.NewReader(events), mark); err != nil {
			t.Fatal(err)
		}
	}
	bad, err := c.seen.lacks("a TestOne\na@windows TestOne\n")
	if err != nil || len(bad) != 1 || bad[0] != "a@windows TestOne: skipped" {
		t.Errorf("lacks = %q, %v", bad, err)
	}
}
