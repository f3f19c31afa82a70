// Package profile is the table of what an acquisition takes: the kinds of evidence of
// each profile in the order of their volatility, the time of each, and what to tell
// people before they order one. It knows nothing of how anything is read.
package profile

import (
	"fmt"
	"strings"
	"time"

	"hozen/internal/artifact"
)

// The profiles that people order by name.
const (
	// Flash is what can be acquired before a network isolation: at most ten seconds,
	// whatever the PC is doing.
	Flash = "flash"
	// Volatile is everything that is lost when the PC is switched off, but for its memory.
	Volatile = "volatile"
	// Memory is what is most volatile, and then the PC's memory itself.
	Memory = "memory"
)

// Line is one kind of a profile.
type Line struct {
	Kind artifact.Kind
	// Budget is the longest time of the kind, for the worst PC; on an ordinary one it
	// takes a fraction of it.
	Budget time.Duration
	// Rest adds to Budget what the lines before it left of theirs.
	Rest bool
}

// Profile is a named list of kinds.
type Profile struct {
	Name string
	// Lines stand in the order in which they are read, most volatile first (RFC 3227, 2.1).
	Lines []Line
	// Gentle says that all but processes and sockets are read with lowered priority, so
	// that whoever uses the PC is not held up.
	Gentle bool
	// Usual and UsualBytes are about what an ordinary PC of some 300 processes takes, and
	// the size of the stored evidence. Of Memory it is a PC with 16 GB of it.
	Usual      time.Duration
	UsualBytes int64
}

// Limit is the longest time that the profile can take.
func (p Profile) Limit() (d time.Duration) {
	for _, l := range p.Lines {
		d += l.Budget
	}
	return d
}

// AtMost is Limit as people are told it: rounded up to ten seconds or whole minutes.
func (p Profile) AtMost() time.Duration {
	unit := 10 * time.Second
	if p.Limit() > time.Minute {
		unit = time.Minute
	}
	return (p.Limit() + unit - 1) / unit * unit
}

// All returns the profiles that people can order, the quickest first.
func All() []Profile {
	return []Profile{
		{Name: Flash, Usual: time.Second, UsualBytes: 200_000, Lines: []Line{
			{Kind: artifact.KindProcess, Budget: 2 * time.Second},
			{Kind: artifact.KindNetConn, Budget: 2 * time.Second},
			{Kind: artifact.KindOpenFile, Budget: 1500 * time.Millisecond},
			{Kind: artifact.KindSession, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindNetConfig, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindHostInfo, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
			{Kind: artifact.KindExeHash, Budget: 1500 * time.Millisecond, Rest: true},
		}},
		{Name: Volatile, Gentle: true, Usual: 5 * time.Second, UsualBytes: 2_000_000, Lines: []Line{
			{Kind: artifact.KindProcess, Budget: 5 * time.Second},
			{Kind: artifact.KindNetConn, Budget: 5 * time.Second},
			// As long as their process.
			{Kind: artifact.KindOpenFile, Budget: 10 * time.Second},
			{Kind: artifact.KindProcState, Budget: 10 * time.Second},
			{Kind: artifact.KindProcMap, Budget: 15 * time.Second},
			{Kind: artifact.KindProcEnv, Budget: 10 * time.Second},
			{Kind: artifact.KindDeletedExe, Budget: 20 * time.Second},
			{Kind: artifact.KindFileLock, Budget: 5 * time.Second},
			{Kind: artifact.KindNamespace, Budget: 5 * time.Second},
			{Kind: artifact.KindCrossView, Budget: 10 * time.Second},
			{Kind: artifact.KindSession, Budget: 2 * time.Second},
			{Kind: artifact.KindNetConfig, Budget: 2 * time.Second},
			{Kind: artifact.KindConntrack, Budget: 3 * time.Second},
			{Kind: artifact.KindDNSCache, Budget: 2 * time.Second},
			{Kind: artifact.KindBPF, Budget: 2 * time.Second},
			{Kind: artifact.KindShared, Budget: 5 * time.Second},
			{Kind: artifact.KindKeyring, Budget: time.Second},
			{Kind: artifact.KindNetfilter, Budget: 3 * time.Second},
			{Kind: artifact.KindStorage, Budget: 2 * time.Second},
			{Kind: artifact.KindUSB, Budget: 2 * time.Second},
			{Kind: artifact.KindLogin, Budget: 2 * time.Second},
			{Kind: artifact.KindKmod, Budget: 2 * time.Second},
			{Kind: artifact.KindKernLog, Budget: 2 * time.Second},
			{Kind: artifact.KindSysctl, Budget: time.Second},
			{Kind: artifact.KindAutostart, Budget: 5 * time.Second},
			{Kind: artifact.KindSecurity, Budget: 3 * time.Second},
			// As long as the boot.
			{Kind: artifact.KindHostInfo, Budget: time.Second},
			{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
			// As long as the disk, and after all of it what reading cost.
			{Kind: artifact.KindExeHash, Budget: 20 * time.Second, Rest: true},
			{Kind: artifact.KindFootprint, Budget: time.Second},
		}},
		ransom(),
		triage(),
		{Name: Memory, Gentle: true, Usual: 3 * time.Minute, UsualBytes: 6_000_000_000, Lines: []Line{
			// What is read in a moment comes before what takes minutes.
			{Kind: artifact.KindProcess, Budget: 2 * time.Second},
			{Kind: artifact.KindNetConn, Budget: 2 * time.Second},
			{Kind: artifact.KindOpenFile, Budget: 1500 * time.Millisecond},
			{Kind: artifact.KindSession, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindNetConfig, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindHostInfo, Budget: 500 * time.Millisecond},
			{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
			// Of the worst PC; the agent gives less to one with less memory.
			{Kind: artifact.KindMemory, Budget: 59 * time.Minute},
			{Kind: artifact.KindMemRange, Budget: time.Second},
			{Kind: artifact.KindKernel, Budget: time.Second},
			{Kind: artifact.KindKallsyms, Budget: 10 * time.Second},
			{Kind: artifact.KindBTF, Budget: 5 * time.Second},
			{Kind: artifact.KindSystemMap, Budget: 5 * time.Second},
			{Kind: artifact.KindKconfig, Budget: 2 * time.Second},
			{Kind: artifact.KindExeHash, Budget: 1500 * time.Millisecond},
			{Kind: artifact.KindFootprint, Budget: time.Second},
		}},
	}
}

// Find returns a profile by its name. The error names the known ones.
func Find(name string) (Profile, error) {
	var known []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return Profile{}, fmt.Errorf("profile %.40q is not known; known: %s", name, strings.Join(known, ", "))
}
