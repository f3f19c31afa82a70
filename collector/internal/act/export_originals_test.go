package act_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/verify"
)

// The index names the numbers that the lines give to files. Those of an endpoint that numbers
// its lines badly are told apart all the same, and the verifier counts as the writer does.
func TestNumbersOfFiles(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	file := func(number, name, rest string) string {
		return fmt.Sprintf(`{"part":"file"%s,"path":"/f/%s"%s}`, number, name, rest)
	}
	unread := `,"unread":"denied"`
	o.keiri.send("flash", map[artifact.Kind][]string{
		artifact.KindDeletedExe: {file(`,"file":0`, "zero", ""), file(`,"file":1`, "one", "")},
		"startfile": {
			file(`,"file":0`, "unread", unread), file(`,"file":1`, "first", ""), file(`,"file":4`, "fourth", ""), file("", "none", ""), file("", "unread2", unread), file(`,"file":null`, "null", ""),
			file(`,"file":7`, "back to seven", ""), file(`,"file":7`, "twice", ""), file(`,"file":0`, "zero", ""), file(`,"file":-5`, "less", ""), file(`,"file":"40"`, "text", ""), file(`,"file":40.0`, "fraction", ""),
			file(`,"file":99999999999999999999`, "more than there are", ""), file(`,"file":1000000000`, "too much", ""), file(`,"file":3,"file":999999999`, "most", ""), file(`,"file":999999999`, "more", ""), file(`,"file":-0`, "last", ""),
		},
	})
	b := o.write(o.order(act.NewExport{}))
	var got []string
	for name, content := range files(t, b) {
		if !strings.HasSuffix(name, "fs/index.jsonl") {
			continue
		}
		for line := range strings.Lines(content) {
			_, rest, _ := strings.Cut(line, `"kind":"`)
			kind, rest, _ := strings.Cut(rest, `","file":`)
			number, rest, _ := strings.Cut(rest, `,"path":"/f/`)
			path, _, _ := strings.Cut(rest, `"`)
			got = append(got, kind[:1]+number+" "+path)
		}
	}
	want := []string{"d0 zero", "d1 one", "s1 first", "s4 fourth", "s5 none", "s7 null", "s8 back to seven", "s9 twice", "s10 zero", "s11 less", "s12 too much", "s999999999 most", "s1000000000 more", "s1000000001 last"}
	if !slices.Equal(got, want) {
		t.Errorf("the index numbers\n%q, want\n%q", got, want)
	}
	if r := o.check(b, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: x.ca.Fingerprint()}}); r.Verdict != verify.Verified {
		t.Errorf("%s %+v", r.Verdict, r.Problems)
	}
}
