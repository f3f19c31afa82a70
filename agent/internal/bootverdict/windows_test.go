package bootverdict

import (
	"errors"
	"io/fs"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	winOld = "11111111-1111-4111-8111-111111111111"
	winNew = "22222222-2222-4222-8222-222222222222"
)

// TestWindows: what Windows notes of its ends, with what the agent kept.
func TestWindows(t *testing.T) {
	day := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	seen, began := day, day.Add(time.Hour)
	dump := record.BootDump{Name: "MEMORY.DMP", Size: 1 << 30, At: began.Add(time.Minute)}
	for name, c := range map[string]struct {
		noted  time.Time // ShutdownTime
		err    error
		dumps  []record.BootDump
		marked bool // the agent was told
		events []Event
		want   string
	}{
		"orderly":          {noted: day.Add(30 * time.Minute), marked: true, want: record.BootCleanWithoutCapture},
		"power loss":       {noted: day.Add(-24 * time.Hour), want: record.BootAbrupt},
		"crash":            {noted: day.Add(-24 * time.Hour), dumps: []record.BootDump{dump}, want: record.BootCrash},
		"old dump":         {noted: day.Add(30 * time.Minute), marked: true, dumps: []record.BootDump{{Name: "MEMORY.DMP", At: day.Add(-48 * time.Hour)}}, want: record.BootCleanWithoutCapture},
		"contradiction":    {noted: day.Add(30 * time.Minute), marked: true, dumps: []record.BootDump{dump}, want: record.BootUnknown},
		"Windows alone":    {noted: day.Add(30 * time.Minute), want: record.BootUnknown},
		"not told":         {err: fs.ErrPermission, marked: true, want: record.BootUnknown},
		"a clock was set":  {noted: began.Add(time.Hour), marked: true, want: record.BootUnknown},
		"never, and crash": {dumps: []record.BootDump{dump}, want: record.BootCrash},

		"stopped in order": {noted: day.Add(30 * time.Minute), events: []Event{{Kind: evAsked, At: day.Add(29 * time.Minute), Type: "poweroff", User: "hanako", Process: "explorer"}, {Kind: evStopped, At: day.Add(30 * time.Minute)}}, want: record.BootCleanWithoutCapture},
		"not in order":     {err: fs.ErrPermission, events: []Event{{Kind: evUnexpected, At: began.Add(time.Minute)}, {Kind: evPower, At: began}}, want: record.BootAbrupt},
		"blue screen":      {noted: day.Add(-24 * time.Hour), events: []Event{{Kind: evUnexpected, At: began.Add(time.Minute)}, {Kind: evPower, At: began, BugCheck: 0xd1}}, want: record.BootCrash},
		"button held":      {noted: day.Add(-24 * time.Hour), events: []Event{{Kind: evUnexpected, At: began.Add(time.Minute)}, {Kind: evPower, At: began, Button: true}}, want: record.BootPowerLoss},
		"log against time": {noted: day.Add(30 * time.Minute), events: []Event{{Kind: evUnexpected, At: began.Add(time.Minute)}}, want: record.BootUnknown},
		"of an end before": {noted: day.Add(30 * time.Minute), marked: true, events: []Event{{Kind: evUnexpected, At: day.Add(-48 * time.Hour)}, {Kind: evPower, At: day.Add(-48 * time.Hour), BugCheck: 1}, {Kind: evStopped, At: day.Add(-50 * time.Hour)}}, want: record.BootCleanWithoutCapture},
	} {
		conf := Config{
			Memory:   Memory{BootID: winOld, SeenAt: artifact.Instant{Wall: day.Add(-time.Hour)}},
			Recorder: &Recorder{BootID: winOld, LastAt: artifact.Instant{Wall: seen}, ShutdownMark: c.marked},
		}
		in := Input{BootID: winNew, Began: began, Memory: conf.Memory, Recorder: conf.Recorder, Findings: []Finding{
			ofShutdownTime(c.noted, conf.lastTrace(), began, c.err), ofDumps(c.dumps, conf.lastTrace(), nil),
		}}
		in.Findings = append(in.Findings, ofEvents(c.events, conf.lastTrace(), began, nil)...)
		if got := Decide(in); got.Verdict != c.want {
			t.Errorf("%s: %s (%s), want %s; %+v", name, got.Verdict, got.Reason, c.want, got.Basis)
		}
	}
	said := ofEvents([]Event{{Kind: evAsked, At: day.Add(time.Minute), Type: "reboot", User: "hanako", Process: "shutdown.exe"}}, seen, began, nil)
	if f := said[0]; f.Says != evAsked || f.Leans != "" || f.Asked.Type != "reboot" || f.Asked.Who != "hanako (shutdown.exe)" || said[1].Says != "none" {
		t.Errorf("%+v", said)
	}
	if said = ofEvents(nil, time.Time{}, began, nil); said[0].Says != "undated" {
		t.Errorf("without a trace of the agent no event is of this end: %+v", said)
	}
	if said = ofEvents(nil, seen, began, errors.ErrUnsupported); said[0].Read != readAbsent || said[1].Read != readAbsent {
		t.Errorf("%+v", said)
	}
	if f := ofDumps(nil, seen, errors.New("x")); f.Read != readUnread || f.Leans != "" {
		t.Errorf("%+v", f)
	}
	if f := ofShutdownTime(day, time.Time{}, began, nil); f.Leans != "" {
		t.Errorf("without a trace of the agent nothing follows: %+v", f)
	}
}
