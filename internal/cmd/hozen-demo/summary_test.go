package main

import (
	"strings"
	"testing"

	"hozen/internal/artifact"
)

func TestOutcomeSaysInWordsWhatCouldNotBeRead(t *testing.T) {
	whole, unread := outcome(artifact.Manifest{Probes: []artifact.ProbeOutcome{{Kind: "clock", Outcome: artifact.Complete}, {Kind: "session", Outcome: artifact.Empty}}})
	if !strings.Contains(whole, "すべて取得") || unread != nil {
		t.Errorf("complete: %s %q", whole, unread)
	}
	whole, unread = outcome(artifact.Manifest{Probes: []artifact.ProbeOutcome{
		{Kind: "process", Outcome: artifact.Partial, Skipped: 1, Detail: "read 88 processes: fields of 1 refused: permission denied"},
		{Kind: "openfile", Outcome: artifact.Partial, Skipped: 1, Detail: "those of 1 processes refused: permission denied"},
		{Kind: "netconn", Outcome: artifact.TimedOut},
	}})
	said := whole + strings.Join(unread, "\n")
	for _, want := range []string{"取得できました", "process, openfile: 1 件は OS が読むことを許しませんでした", "netconn: timed_out"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in %s", want, said)
		}
	}
	if strings.Contains(said, "すべて") {
		t.Error("partial evidence is called whole")
	}
}
