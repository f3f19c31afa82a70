package bootverdict

import (
	"io/fs"
	"slices"
	"time"

	"hozen/agent/internal/sorted"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

var errAbsent error = &fs.PathError{Op: "read", Path: "-", Err: fs.ErrNotExist}

// order is the order of sources in the record.
func order() []string {
	return []string{sourceBootID, sourceRecorder, sourceShutdown, sourceWtmp, sourceJournal, sourceKernel, sourceFsck,
		sourcePstore, sourceKdump, sourceReset, sourceWatchdog, sourceShutdownTime, sourceCrashDump}
}

// tellFindings lists the basis in one order, whatever order it was read in.
func tellFindings(out *record.Boot, in Input, findings []Finding) {
	o := order()
	inOrder := slices.Clone(findings)
	sorted.StableFunc(inOrder, func(a, b Finding) int { return slices.Index(o, a.Source) - slices.Index(o, b.Source) })
	for _, f := range inOrder {
		out.Basis = append(out.Basis, f.BootBasis)
		out.Dumps = append(out.Dumps, f.Dumps...)
	}
	if s := in.Shutdown; out.Verdict == record.BootAgentRestarted && s != nil && s.BootID == in.BootID && !s.last().IsZero() {
		// A soft-reboot keeps the boot's name: the system went down and up within it.
		b := found(sourceShutdown, witnessAgent).BootBasis
		b.Says, b.At, b.Detail = "shutdown_noticed", s.NoticedAt.Wall, shorten(s.Type)
		out.Basis = append(out.Basis, b)
	}
}

func (in *Input) tellShutdown(out *record.Boot) {
	s := in.Shutdown
	if s == nil || s.BootID != out.PreviousBootID {
		return
	}
	out.Shutdown = record.BootShutdown{NoticedAt: s.NoticedAt.Wall, SealedAt: s.SealedAt.Wall, ReleasedAt: s.ReleasedAt.Wall,
		AddedDelayNS: int64(s.AddedDelay), AcquisitionID: s.AcquisitionID}
}

// tellEvidence finds the newest evidence of the last boot.
func (in *Input) tellEvidence(out *record.Boot) {
	var all []artifact.Instant
	if r := in.Recorder; r != nil && r.BootID == out.PreviousBootID {
		all = append(all, r.LastAt)
	}
	if s := in.Shutdown; s != nil && s.BootID == out.PreviousBootID {
		all = append(all, s.SealedAt)
	}
	out.LastEvidenceAt = newest(all...)
	if m := in.Memory; m.BootID == out.PreviousBootID {
		all = append(all, m.SeenAt)
	}
	out.ClockContradicts = jumped(all)
}

// jumped reports whether the wall clock moved against the boot clock between instants of
// one boot.
func jumped(all []artifact.Instant) bool {
	all = slices.DeleteFunc(slices.Clone(all), func(i artifact.Instant) bool { return i.Wall.IsZero() || i.BootNS == 0 })
	for i := 1; i < len(all); i++ {
		wall := all[i].Wall.Sub(all[0].Wall)
		if (wall - time.Duration(all[i].BootNS-all[0].BootNS)).Abs() > clockSlack {
			return true
		}
	}
	return false
}

// tellAsked takes the agent's note first and completes it from the log.
func tellAsked(out *record.Boot, findings []Finding) {
	for _, f := range findings {
		a, have := f.Asked, &out.AskedBy
		switch {
		case a == (record.BootAsked{}) || a.By == "" && a.Type == "" && a.Who == "":
		case *have == (record.BootAsked{}):
			*have = a
		default:
			if have.By == "" && a.By != "" {
				have.By, have.Basis = a.By, have.Basis+"+"+a.Basis
			}
			if have.Type == "" {
				have.Type = a.Type
			}
			if have.Who == "" {
				have.Who = a.Who
			}
		}
	}
}

// bound says between which moments the end lies and how long there was no evidence.
func bound(out *record.Boot, in Input, findings []Finding) {
	for _, f := range findings {
		if f.LastSeen.After(out.EndedAfter) {
			out.EndedAfter = f.LastSeen
		}
	}
	out.EndedBefore = in.Began
	if out.EndedAfter.IsZero() || out.EndedBefore.IsZero() {
		return
	}
	if out.EndedAfter.After(out.EndedBefore) {
		out.ClockContradicts = true
	}
	if out.ClockContradicts || out.LastEvidenceAt.IsZero() {
		return
	}
	out.Gap = record.BootGap{Known: true, AtLeastNS: int64(out.EndedAfter.Sub(out.LastEvidenceAt)), AtMostNS: int64(out.EndedBefore.Sub(out.LastEvidenceAt))}
}
