package bootverdict

import (
	"cmp"
	"slices"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// clockSlack is how far two clocks of one boot may differ before they contradict each
// other, and how much earlier than the agent's own notes another source may end.
const clockSlack = time.Minute

// tally counts independent witnesses per lean.
type tally struct {
	orderly, forced, crash, power, abrupt, weak map[string]bool
}

func count(findings []Finding) tally {
	sets := map[string]map[string]bool{}
	for _, lean := range []string{leansOrderly, leansForced, leansCrash, leansPower, leansAbrupt, leansWeak} {
		sets[lean] = map[string]bool{}
	}
	for _, f := range findings {
		if s, ok := sets[f.Leans]; ok {
			s[f.Witness] = true
		}
	}
	return tally{sets[leansOrderly], sets[leansForced], sets[leansCrash], sets[leansPower], sets[leansAbrupt], sets[leansWeak]}
}

// agree reports whether two witnesses or more stand behind something, at least one of
// them in so many words and the rest by what fits it.
func agree(said map[string]bool, fits ...map[string]bool) bool {
	all := map[string]bool{}
	for _, s := range append(fits, said) {
		for w := range s {
			all[w] = true
		}
	}
	return len(said) > 0 && len(all) >= 2
}

// The rules. The first that holds decides.
type rule struct {
	holds           func(t tally) bool
	verdict, reason string
}

func rules() []rule {
	return []rule{
		// Contradictions come first: nobody is outvoted.
		{func(t tally) bool {
			return len(t.orderly) > 0 && len(t.forced)+len(t.crash)+len(t.power)+len(t.abrupt) > 0
		}, record.BootUnknown, record.BootReasonDisagreement},
		{func(t tally) bool {
			kinds := 0
			for _, s := range []map[string]bool{t.forced, t.crash, t.power} {
				kinds += min(1, len(s))
			}
			return kinds > 1
		}, record.BootUnknown, record.BootReasonDisagreement},

		// What is known exactly needs one witness who says it and one whom it fits.
		{func(t tally) bool { return agree(t.crash, t.abrupt, t.weak) }, record.BootCrash, record.BootReasonTwoSources},
		{func(t tally) bool { return agree(t.power, t.abrupt, t.weak) }, record.BootPowerLoss, record.BootReasonTwoSources},
		{func(t tally) bool { return agree(t.forced, t.abrupt, t.weak) }, record.BootForced, record.BootReasonTwoSources},
		{func(t tally) bool { return agree(t.abrupt, t.weak) }, record.BootAbrupt, record.BootReasonTwoSources},
		{func(t tally) bool { return agree(t.orderly) }, record.BootCleanWithoutCapture, record.BootReasonTwoSources},

		{func(t tally) bool {
			return len(t.orderly)+len(t.forced)+len(t.crash)+len(t.power)+len(t.abrupt)+len(t.weak) > 0
		}, record.BootUnknown, record.BootReasonOneSource},
		{func(tally) bool { return true }, record.BootUnknown, record.BootReasonNoSource},
	}
}

// Decide judges. It reads no clock and no file, and a source that is absent changes
// nothing but its own line in the basis.
func Decide(in Input) *record.Boot {
	out := &record.Boot{BootID: in.BootID}
	agentBoot := cmp.Or(otherThan(in.BootID, in.recorderBoot()), otherThan(in.BootID, in.shutdownBoot()), otherThan(in.BootID, in.Memory.BootID))
	switch {
	case in.BootID == "":
		return undecided(out, in, record.BootUnknown, record.BootReasonNoBootID)
	case in.Memory.BootID == in.BootID:
		return undecided(out, in, record.BootAgentRestarted, record.BootReasonSameBoot)
	case agentBoot == "":
		return undecided(out, in, record.BootFirstRun, record.BootReasonNoMemory)
	}

	ours := in.agentFindings(agentBoot)
	theirs := slices.Clone(in.Findings)
	out.PreviousBootID = settleBoots(in, agentBoot, ours, theirs)
	findings := append(ours, theirs...)
	dropStale(in, findings)

	t := count(findings)
	for _, r := range rules() {
		if r.holds(t) {
			out.Verdict, out.Reason = r.verdict, r.reason
			break
		}
	}
	present := slices.ContainsFunc(ours, func(f Finding) bool { return f.BootID == out.PreviousBootID && f.BootID != "" })
	if present {
		in.tellShutdown(out)
		in.tellEvidence(out)
	}
	if out.Verdict == record.BootCleanWithoutCapture && out.Shutdown.AcquisitionID != "" && !out.Shutdown.SealedAt.IsZero() {
		out.Verdict = record.BootCleanWithCapture
	}
	tellFindings(out, in, findings)
	tellAsked(out, findings)
	bound(out, in, findings)
	return out
}

// undecided lists the sources and leaves the question open.
func undecided(out *record.Boot, in Input, verdict, reason string) *record.Boot {
	out.Verdict, out.Reason = verdict, reason
	tellFindings(out, in, in.Findings)
	for i := range out.Basis {
		out.Basis[i].Leans = "" // nothing was judged from them
	}
	return out
}

func otherThan(this, id string) string {
	if id == this {
		return ""
	}
	return id
}

func (in *Input) recorderBoot() string {
	if in.Recorder == nil {
		return ""
	}
	return in.Recorder.BootID
}

func (in *Input) shutdownBoot() string {
	if in.Shutdown == nil {
		return ""
	}
	return in.Shutdown.BootID
}

// agentFindings is what the agent itself wrote of the boot id.
func (in *Input) agentFindings(id string) (out []Finding) {
	if in.Memory.BootID == id {
		f := found(sourceBootID, witnessAgent)
		f.Says, f.BootID, f.At, f.LastSeen = "changed", id, in.Memory.SeenAt.Wall, in.Memory.SeenAt.Wall
		out = append(out, f)
	}
	rec, shut := failed(sourceRecorder, witnessAgent, errAbsent), failed(sourceShutdown, witnessAgent, errAbsent)
	noticed := in.Shutdown != nil && in.Shutdown.BootID == id && !in.Shutdown.last().IsZero()
	if r := in.Recorder; r != nil && r.BootID == id {
		rec = found(sourceRecorder, witnessAgent)
		rec.Says, rec.Leans, rec.BootID, rec.At, rec.LastSeen = "ends_without_mark", leansWeak, id, r.LastAt.Wall, r.LastAt.Wall
		if r.ShutdownMark {
			rec.Says, rec.Leans = "shutdown_marked", leansOrderly
		} else if noticed {
			rec.Leans = "" // the recorder was off or dead by then; the note knows more
		}
	}
	if s := in.Shutdown; noticed {
		shut = found(sourceShutdown, witnessAgent)
		shut.Says, shut.Leans, shut.BootID, shut.At, shut.Detail = "shutdown_noticed", leansOrderly, id, s.NoticedAt.Wall, shorten(s.Source)
		shut.LastSeen = s.last()
		shut.Asked = record.BootAsked{By: shorten(s.By), Type: shorten(s.Type), Who: shorten(s.Who), Basis: sourceShutdown}
	}
	return append(out, rec, shut)
}

// last is the newest moment of the note; zero when it has none.
func (s *Shutdown) last() time.Time { return newest(s.NoticedAt, s.SealedAt, s.ReleasedAt) }

func newest(list ...artifact.Instant) (t time.Time) {
	for _, i := range list {
		if i.Wall.After(t) {
			t = i.Wall
		}
	}
	return t
}

// settleBoots finds out which boot was the last one, and takes their word from the
// sources that speak of another: the agent where it was absent from the last boot, the
// system's where they end before the agent was last seen.
func settleBoots(in Input, agentBoot string, ours, theirs []Finding) (previous string) {
	var seen time.Time
	for _, f := range ours {
		if f.LastSeen.After(seen) {
			seen = f.LastSeen
		}
	}
	previous = agentBoot
	absent := false // the agent, from the last boot
	named := slices.ContainsFunc(theirs, func(f Finding) bool { return f.BootID == agentBoot })
	for i := range theirs {
		f := &theirs[i]
		switch {
		case f.BootID != "" && f.BootID != agentBoot && f.BootID != in.BootID && f.LastSeen.After(seen):
			previous, absent = f.BootID, true
		case f.BootID != "" && f.BootID != agentBoot:
			*f = silenced(*f, "older_boot")
		case f.BootID == "" && !named && !f.Began.IsZero() && f.Began.After(seen.Add(clockSlack)): // a name is worth more than a clock
			if !absent {
				previous = ""
			}
			absent = true
		case f.BootID == "" && !f.LastSeen.IsZero() && f.LastSeen.Before(in.Memory.SeenAt.Wall.Add(-clockSlack)) && in.Memory.BootID == agentBoot:
			*f = silenced(*f, "older_boot")
		}
	}
	if !absent {
		return agentBoot
	}
	for i := range ours {
		if ours[i].Read == readOK {
			id := ours[i].BootID
			ours[i] = silenced(ours[i], "other_boot")
			ours[i].BootID = id
		}
	}
	for i := range theirs { // the journal knows the name of the last boot even where wtmp showed that there was one
		if f := &theirs[i]; previous == "" && f.BootID != "" && f.BootID != agentBoot && f.Says != "older_boot" {
			previous = f.BootID
		}
	}
	return previous
}

// silenced is f without anything that it says of the boot before this one.
func silenced(f Finding, says string) Finding {
	out := Finding{BootBasis: f.BootBasis}
	out.Says, out.Leans = says, ""
	return out
}

// dropStale takes their word from crash records that are older than the last time that
// the agent was seen: they belong to an end before.
func dropStale(in Input, findings []Finding) {
	for i := range findings {
		f := &findings[i]
		if f.Leans == leansCrash && f.Witness == witnessKernel && !f.At.IsZero() && f.At.Before(in.Memory.SeenAt.Wall.Add(-clockSlack)) {
			*f = silenced(*f, "older_dump")
		}
	}
}
