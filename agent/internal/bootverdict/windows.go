package bootverdict

import (
	"time"

	"hozen/internal/artifact/record"
)

// lastTrace is when the agent last saw a boot before this one alive; zero where it keeps
// nothing of it.
func (c Config) lastTrace() time.Time {
	t := c.Memory.SeenAt.Wall
	if c.Recorder != nil && c.Recorder.LastAt.Wall.After(t) {
		t = c.Recorder.LastAt.Wall
	}
	return t
}

// ofShutdownTime is what the time says that Windows notes at the end of every orderly
// shutdown (ShutdownTime below Control\Windows), and never at another end: where the PC
// was seen alive after it, the end was not orderly.
func ofShutdownTime(at, lastTrace, began time.Time, err error) Finding {
	switch {
	case err != nil:
		return failed(sourceShutdownTime, witnessWindows, err)
	case at.IsZero():
		return failed(sourceShutdownTime, witnessWindows, errAbsent)
	}
	f := found(sourceShutdownTime, witnessWindows)
	f.At = at
	switch {
	case lastTrace.IsZero():
		f.Says = "noted"
	case at.Before(lastTrace.Add(-clockSlack)):
		f.Says, f.Leans = "none_since", leansAbrupt
	case !began.IsZero() && at.After(began.Add(clockSlack)):
		f.Says = "after_start" // a clock was set between the two
	default:
		f.Says, f.Leans, f.LastSeen = "noted", leansOrderly, at
	}
	return f
}

// ofDumps is what the dumps of Windows' kernel say; they are written at the start after
// the crash.
func ofDumps(dumps []record.BootDump, lastTrace time.Time, err error) Finding {
	if err != nil {
		return failed(sourceCrashDump, witnessKernel, err)
	}
	f := found(sourceCrashDump, witnessKernel)
	f.Says = "none"
	for _, d := range dumps {
		if lastTrace.IsZero() || !d.At.After(lastTrace) {
			continue // of an end before
		}
		f.Says, f.Leans = "dump", leansCrash
		if d.At.After(f.At) {
			f.At = d.At
		}
		f.Dumps = append(f.Dumps, d)
	}
	return f
}
