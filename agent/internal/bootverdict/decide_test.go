package bootverdict

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	oldBoot = "00000000-0000-0000-0000-000000000001"
	newBoot = "00000000-0000-0000-0000-000000000002"
)

func at(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0).UTC() }

func instant(s int) artifact.Instant {
	return artifact.Instant{Wall: at(s), BootNS: int64(s+1000) * 1e9}
}

func say(source, witness, leans string) Finding {
	f := found(source, witness)
	f.Says, f.Leans = "test", leans
	return f
}

func leans() []string {
	return []string{"", leansOrderly, leansForced, leansCrash, leansPower, leansAbrupt, leansWeak}
}

// Every combination of what three witnesses can say, against the rules written a second
// time as plain conditions.
func TestEveryCombination(t *testing.T) {
	n := 0
	for _, a := range leans() {
		for _, b := range leans() {
			for _, c := range leans() {
				n++
				list := []string{a, b, c}
				in := Input{BootID: newBoot, Memory: Memory{BootID: oldBoot, SeenAt: instant(0)},
					Findings: []Finding{say(sourceWtmp, witnessWtmp, a), say(sourceJournal, witnessJournal, b), say(sourceKernel, witnessFS, c)}}
				o := Decide(in)
				if want := expected(list); o.Verdict+" "+o.Reason != want {
					t.Errorf("%q: %s %s, want %s", list, o.Verdict, o.Reason, want)
				}
			}
		}
	}
	if n != 343 {
		t.Errorf("%d combinations", n)
	}
}

func expected(list []string) string {
	has := func(l string) int {
		n := 0
		for _, x := range list {
			if x == l {
				n++
			}
		}
		return n
	}
	o, f, c, p, a, w := has(leansOrderly), has(leansForced), has(leansCrash), has(leansPower), has(leansAbrupt), has(leansWeak)
	exact := 0
	for _, n := range []int{f, c, p} {
		if n > 0 {
			exact++
		}
	}
	speaking := o + f + c + p + a + w
	switch {
	case o > 0 && f+c+p+a > 0, exact > 1:
		return "unknown disagreement"
	case speaking == 0:
		return "unknown no_source"
	case speaking == 1, o == 1, o == 0 && f+c+p+a == 0:
		return "unknown one_source"
	case c > 0:
		return "crash two_sources"
	case p > 0:
		return "power_loss two_sources"
	case f > 0:
		return "forced two_sources"
	case a > 0:
		return "abrupt two_sources"
	}
	return "clean_without_capture two_sources"
}

// Two files of one writer are one witness.
func TestOneWitnessTwice(t *testing.T) {
	base := Input{BootID: newBoot, Memory: Memory{BootID: oldBoot, SeenAt: instant(0)}}
	for lean, list := range map[string][]Finding{
		leansAbrupt:  {say(sourceKernel, witnessFS, leansAbrupt), say(sourceFsck, witnessFS, leansAbrupt)},
		leansOrderly: nil,
	} {
		in := base
		in.Findings = list
		if lean == leansOrderly {
			in.Recorder = &Recorder{LastAt: instant(10), BootID: oldBoot, ShutdownMark: true}
			in.Shutdown = &Shutdown{BootID: oldBoot, NoticedAt: instant(9), SealedAt: instant(10), AcquisitionID: "acq_1"}
		}
		if o := Decide(in); o.Verdict != record.BootUnknown || o.Reason != record.BootReasonOneSource {
			t.Errorf("%s: %s %s", lean, o.Verdict, o.Reason)
		}
	}
}

func TestNothingToJudge(t *testing.T) {
	for name, c := range map[string]struct {
		in              Input
		verdict, reason string
	}{
		"same boot": {Input{BootID: newBoot, Memory: Memory{BootID: newBoot}}, record.BootAgentRestarted, record.BootReasonSameBoot},
		"soft-reboot": {Input{BootID: newBoot, Memory: Memory{BootID: newBoot}, Shutdown: &Shutdown{BootID: newBoot, Type: "soft-reboot", NoticedAt: instant(0)}},
			record.BootAgentRestarted, record.BootReasonSameBoot},
		"no memory":  {Input{BootID: newBoot}, record.BootFirstRun, record.BootReasonNoMemory},
		"no boot id": {Input{Memory: Memory{BootID: oldBoot}}, record.BootUnknown, record.BootReasonNoBootID},
	} {
		c.in.Findings = []Finding{say(sourceWtmp, witnessWtmp, leansAbrupt), say(sourceJournal, witnessJournal, leansAbrupt)}
		o := Decide(c.in)
		if o.Verdict != c.verdict || o.Reason != c.reason {
			t.Errorf("%s: %s %s", name, o.Verdict, o.Reason)
		}
		for _, b := range o.Basis {
			if b.Leans != "" {
				t.Errorf("%s: %+v", name, b)
			}
		}
		if soft := slices.ContainsFunc(o.Basis, func(b record.BootBasis) bool { return b.Detail == "soft-reboot" }); soft != (name == "soft-reboot") {
			t.Errorf("%s: %+v", name, o.Basis)
		}
	}
}

func TestBoundsAndGap(t *testing.T) {
	wtmp := say(sourceWtmp, witnessWtmp, leansOrderly)
	wtmp.LastSeen = at(103)
	in := Input{BootID: newBoot, Began: at(130), Memory: Memory{BootID: oldBoot, SeenAt: instant(0)},
		Recorder: &Recorder{LastAt: instant(90), BootID: oldBoot},
		Shutdown: &Shutdown{BootID: oldBoot, NoticedAt: instant(100), SealedAt: instant(101), ReleasedAt: instant(102), AcquisitionID: "acq_1", AddedDelay: time.Second},
		Findings: []Finding{wtmp}}
	o := Decide(in)
	if o.Verdict != record.BootCleanWithCapture || !o.EndedAfter.Equal(at(103)) || !o.EndedBefore.Equal(at(130)) || o.ClockContradicts {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	if want := (record.BootGap{Known: true, AtLeastNS: 2e9, AtMostNS: 29e9}); o.Gap != want {
		t.Errorf("gap %+v, want %+v", o.Gap, want)
	}
	// Noticed but never sealed is no capture.
	s := *in.Shutdown
	s.SealedAt, s.AcquisitionID = artifact.Instant{}, ""
	in.Shutdown = &s
	if o := Decide(in); o.Verdict != record.BootCleanWithoutCapture || !o.LastEvidenceAt.Equal(at(90)) {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	// The clock went back between the boots.
	back := in
	back.Began = at(50)
	if o := Decide(back); !o.ClockContradicts || o.Gap.Known || o.EndedAfter.IsZero() {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	// The clock was set within the old boot.
	set := in
	set.Recorder = &Recorder{LastAt: artifact.Instant{Wall: at(90), BootNS: instant(7000).BootNS}, BootID: oldBoot}
	if o := Decide(set); !o.ClockContradicts || o.Gap.Known {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	// Nothing says when this boot began.
	in.Began = time.Time{}
	if o := Decide(in); o.Gap != (record.BootGap{}) || o.ClockContradicts {
		t.Errorf("%s", o.AppendJSON(nil))
	}
}

func TestOtherBoots(t *testing.T) {
	const third = "00000000-0000-0000-0000-000000000003"
	base := Input{BootID: newBoot, Began: at(1000), Memory: Memory{BootID: oldBoot, SeenAt: instant(0)},
		Shutdown: &Shutdown{BootID: oldBoot, NoticedAt: instant(100), SealedAt: instant(101), AcquisitionID: "acq_1"}}
	wtmp, journal := say(sourceWtmp, witnessWtmp, leansOrderly), say(sourceJournal, witnessJournal, leansOrderly)
	wtmp.Began, wtmp.LastSeen = at(500), at(600)

	in := base // wtmp knows of a boot in which the agent was not, but not its name
	in.Findings = []Finding{wtmp}
	o := Decide(in)
	if o.PreviousBootID != "" || o.Verdict != record.BootUnknown || o.Reason != record.BootReasonOneSource || o.Shutdown != (record.BootShutdown{}) {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	journal.BootID, journal.LastSeen = third, at(600)
	in.Findings = []Finding{wtmp, journal}
	o = Decide(in)
	if o.PreviousBootID != third || o.Verdict != record.BootCleanWithoutCapture || !o.LastEvidenceAt.IsZero() || o.Gap.Known {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	// A journal that ends before the agent's boot has nothing to say of it.
	journal.LastSeen = at(-5000)
	wtmp.Began, wtmp.LastSeen = at(-10), at(103)
	in.Findings = []Finding{wtmp, journal}
	o = Decide(in)
	if o.PreviousBootID != oldBoot || o.Verdict != record.BootCleanWithCapture || !o.EndedAfter.Equal(at(103)) {
		t.Errorf("%s", o.AppendJSON(nil))
	}
	// A dump from before the agent's boot is of an earlier crash.
	dump := say(sourcePstore, witnessKernel, leansCrash)
	dump.At = at(-5000)
	in.Findings = []Finding{wtmp, dump}
	if o = Decide(in); o.Verdict != record.BootCleanWithCapture {
		t.Errorf("%s", o.AppendJSON(nil))
	}
}

// drawInput draws an input with any sources in any state.
func drawInput(t *rapid.T) Input {
	ids := []string{"", oldBoot, newBoot, "00000000-0000-0000-0000-000000000003"}
	when := rapid.Custom(func(t *rapid.T) artifact.Instant {
		if rapid.Bool().Draw(t, "zero") {
			return artifact.Instant{}
		}
		return instant(rapid.IntRange(-10000, 10000).Draw(t, "s"))
	})
	in := Input{BootID: rapid.SampledFrom([]string{newBoot, newBoot, newBoot, ""}).Draw(t, "boot"), Began: when.Draw(t, "began").Wall,
		Memory: Memory{BootID: rapid.SampledFrom([]string{oldBoot, oldBoot, oldBoot, newBoot, ""}).Draw(t, "memory"), SeenAt: when.Draw(t, "seen")}}
	if rapid.Bool().Draw(t, "recorder") {
		in.Recorder = &Recorder{LastAt: when.Draw(t, "last"), BootID: rapid.SampledFrom(ids).Draw(t, "id"), ShutdownMark: rapid.Bool().Draw(t, "mark")}
	}
	if rapid.Bool().Draw(t, "shutdown") {
		in.Shutdown = &Shutdown{BootID: rapid.SampledFrom(ids).Draw(t, "id"), Source: "logind", Type: "poweroff", NoticedAt: when.Draw(t, "noticed"),
			SealedAt: when.Draw(t, "sealed"), AcquisitionID: rapid.SampledFrom([]string{"", "acq_1"}).Draw(t, "acq")}
	}
	for _, s := range []struct{ source, witness string }{{sourceWtmp, witnessWtmp}, {sourceJournal, witnessJournal}, {sourceKernel, witnessFS},
		{sourceFsck, witnessFS}, {sourcePstore, witnessKernel}, {sourceReset, witnessPlatform}} {
		f := failed(s.source, s.witness, errAbsent)
		if rapid.Bool().Draw(t, "read") {
			f = say(s.source, s.witness, rapid.SampledFrom(leans()).Draw(t, "leans"))
			f.LastSeen, f.Began, f.At = when.Draw(t, "seen").Wall, when.Draw(t, "began").Wall, when.Draw(t, "at").Wall
			if s.source == sourceJournal {
				f.BootID = rapid.SampledFrom(ids).Draw(t, "id")
			}
		}
		in.Findings = append(in.Findings, f)
	}
	return in
}

func TestNeverClaimsMoreThanItKnows(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		o := Decide(in)
		witnesses := map[string]map[string]bool{}
		for _, b := range o.Basis {
			if b.Leans != "" {
				if witnesses[b.Leans] == nil {
					witnesses[b.Leans] = map[string]bool{}
				}
				witnesses[b.Leans][b.Witness] = true
			}
		}
		against := len(witnesses[leansForced]) + len(witnesses[leansCrash]) + len(witnesses[leansPower]) + len(witnesses[leansAbrupt])
		switch o.Verdict {
		case record.BootCleanWithCapture, record.BootCleanWithoutCapture:
			if len(witnesses[leansOrderly]) < 2 || against > 0 {
				t.Fatalf("%s", o.AppendJSON(nil))
			}
		case record.BootCrash, record.BootPowerLoss, record.BootForced, record.BootAbrupt:
			if len(witnesses[leansOrderly]) > 0 || o.Verdict != record.BootAbrupt && len(witnesses[o.Verdict]) == 0 {
				t.Fatalf("%s", o.AppendJSON(nil))
			}
			all := map[string]bool{}
			for _, set := range witnesses {
				for w := range set {
					all[w] = true
				}
			}
			if len(all) < 2 {
				t.Fatalf("%s", o.AppendJSON(nil))
			}
		case record.BootUnknown:
			exact := 0
			for _, l := range []string{leansForced, leansCrash, leansPower} {
				exact += min(1, len(witnesses[l]))
			}
			if apart := len(witnesses[leansOrderly]) > 0 && against > 0 || exact > 1; (o.Reason == record.BootReasonDisagreement) != apart {
				t.Fatalf("%s", o.AppendJSON(nil))
			}
		case record.BootAgentRestarted, record.BootFirstRun:
		default:
			t.Fatalf("verdict %q", o.Verdict)
		}
		if (o.Verdict == record.BootCleanWithCapture) && (o.Shutdown.AcquisitionID == "" || o.Shutdown.SealedAt.IsZero()) {
			t.Fatalf("a capture that is not there: %s", o.AppendJSON(nil))
		}
		if g := o.Gap; g.Known && (g.AtLeastNS < 0 || g.AtMostNS < g.AtLeastNS) {
			t.Fatalf("gap %+v", g)
		}
		if !json.Valid(o.AppendJSON(nil)) {
			t.Fatalf("%s", o.AppendJSON(nil))
		}

		// The order in which sources were read changes nothing.
		mixed := in
		mixed.Findings = rapid.Permutation(in.Findings).Draw(t, "order")
		if diff := cmp.Diff(o, Decide(mixed)); diff != "" {
			t.Fatalf("other order: %s", diff)
		}
		// A source that is absent changes nothing but its line.
		less := in
		less.Findings = slices.DeleteFunc(slices.Clone(in.Findings), func(f Finding) bool { return f.Read == readAbsent })
		a, b := *o, *Decide(less)
		a.Basis, b.Basis = nil, nil
		if diff := cmp.Diff(a, b); diff != "" {
			t.Fatalf("without absent sources: %s", diff)
		}
	})
}

// What a verdict looks like where two sources contradict each other: both are shown.
func TestDisagreementShowsBoth(t *testing.T) {
	o := Decide(Input{BootID: newBoot, Memory: Memory{BootID: oldBoot, SeenAt: instant(0)},
		Findings: []Finding{say(sourceWtmp, witnessWtmp, leansOrderly), say(sourceJournal, witnessJournal, leansAbrupt)}})
	got := fmt.Sprint(o.Verdict, " ", o.Reason)
	for _, b := range o.Basis {
		got += " " + b.Source + ":" + b.Leans
	}
	if want := "unknown disagreement boot_id: recorder: shutdown_record: wtmp:orderly journal:abrupt"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
