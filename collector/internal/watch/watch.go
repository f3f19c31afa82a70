// Package watch says whether the watch itself is alive: which PCs fell silent, are outdated
// or unprotected, and what of the collector needs care. It knows nothing of where the facts
// come from.
package watch

import (
	"cmp"
	"slices"
	"time"
)

// When something is worth a concern.
const (
	// SilentAfter is how long nothing was heard of a PC; shorter, and every weekend is one.
	SilentAfter = 7 * 24 * time.Hour
	// NeverAfter is how long an enrolled PC may take to connect for the first time.
	NeverAfter = time.Hour
	// ClockOff is how far a PC's clock may be from the collector's: times in evidence are
	// explained up to there by a glance.
	ClockOff = 2 * time.Minute
	// BackupLate is how much longer than planned the newest backup may be ago.
	BackupLate = 12 * time.Hour
	// BackupFirst is how long a running collector may take for its first backup.
	BackupFirst = 2 * time.Hour
	// CertificateEnds is how long before its end a certificate is told of; those of the
	// collector are renewed long before.
	CertificateEnds = 30 * 24 * time.Hour
)

// PC is what is known of one endpoint. Revoked ones and those without an agent are left out.
type PC struct {
	ID        string
	Name      string
	Enrolled  time.Time
	LastSeen  time.Time // zero: never
	Online    bool
	Outdated  bool          // its agent does not know all that this collector can order
	Incapable bool          // its system cannot be isolated by the agent
	NoWayHome bool          // it is isolated, and nobody could take that back from here
	Offset    time.Duration // of its clock, by its newest word
}

// Collector is what is known of the collector. Zero values mean that it is not known.
type Collector struct {
	FreeBytes  uint64
	DiskTight  bool // evidence will be refused soon
	DiskFailed bool // the disk could not be asked

	BackupDir    string        // empty: no backups are planned
	BackupEvery  time.Duration // planned
	BackupAt     time.Time     // of the newest complete one
	BackupFailed string        // why the newest try failed, English; empty: it did not
	ProvedAt     time.Time     // when a backup was last read back as a whole
	ProvedBad    int           // problems that were found then
	Started      time.Time     // when the collector began to run

	OwnSteps string // what is wrong with the file of the organisation's own steps, English; empty: nothing

	CertificateUntil time.Time
	CAUntil          time.Time
}

// Code names a concern; the console has its words.
type Code string

// The concerns, of PCs and of the collector.
const (
	Silent    Code = "silent"
	Never     Code = "never_connected"
	Outdated  Code = "outdated"
	Incapable Code = "incapable"
	NoWayHome Code = "no_way_home"
	Clock     Code = "clock"

	Disk           Code = "disk"
	DiskUnknown    Code = "disk_unknown"
	BackupNone     Code = "backup_none"
	BackupLateCode Code = "backup_late"
	BackupFailed   Code = "backup_failed"
	BackupBad      Code = "backup_bad"
	BackupUnproved Code = "backup_unproved"
	BackupMissing  Code = "backup_missing" // planned, and none was made
	OwnSteps       Code = "own_steps"
	Certificate    Code = "certificate"
	CA             Code = "ca"
)

// Concern is one thing that somebody should see to.
type Concern struct {
	Code   Code
	Urgent bool          // evidence or the way back is at stake
	PC     *PC           // nil: it is the collector's
	Since  time.Time     // or until when; zero where there is no time to it
	Off    time.Duration // of Clock
	Count  int           // of BackupBad
	Detail string        // English, of BackupFailed
}

// Look returns the concerns, urgent ones first, then by kind and name.
func Look(now time.Time, pcs []PC, c Collector) []Concern {
	list := ofCollector(now, c)
	for i := range pcs {
		list = append(list, ofPC(now, &pcs[i])...)
	}
	slices.SortStableFunc(list, func(a, b Concern) int {
		switch {
		case a.Urgent != b.Urgent && a.Urgent:
			return -1
		case a.Urgent != b.Urgent:
			return 1
		case a.Code != b.Code:
			return cmp.Compare(a.Code, b.Code)
		case a.PC != nil && b.PC != nil:
			return cmp.Compare(a.PC.Name, b.PC.Name)
		}
		return 0
	})
	return list
}

func ofPC(now time.Time, p *PC) (list []Concern) {
	add := func(c Concern) { c.PC = p; list = append(list, c) }
	switch {
	case p.LastSeen.IsZero() && now.Sub(p.Enrolled) >= NeverAfter:
		add(Concern{Code: Never, Since: p.Enrolled})
	case !p.LastSeen.IsZero() && !p.Online && now.Sub(p.LastSeen) >= SilentAfter:
		add(Concern{Code: Silent, Since: p.LastSeen})
	}
	if p.LastSeen.IsZero() {
		return list // nothing else is known of it
	}
	if p.NoWayHome {
		add(Concern{Code: NoWayHome, Urgent: true})
	}
	if p.Outdated {
		add(Concern{Code: Outdated})
	}
	if p.Incapable {
		add(Concern{Code: Incapable})
	}
	if p.Offset.Abs() >= ClockOff {
		add(Concern{Code: Clock, Off: p.Offset})
	}
	return list
}

func ofCollector(now time.Time, c Collector) (list []Concern) {
	add := func(c Concern) { list = append(list, c) }
	switch {
	case c.DiskFailed:
		add(Concern{Code: DiskUnknown, Urgent: true})
	case c.DiskTight:
		add(Concern{Code: Disk, Urgent: true})
	}
	switch {
	case c.BackupDir == "":
		add(Concern{Code: BackupNone})
	case c.BackupFailed != "":
		add(Concern{Code: BackupFailed, Urgent: true, Since: c.BackupAt, Detail: c.BackupFailed})
	case !c.BackupAt.IsZero() && now.Sub(c.BackupAt) >= c.BackupEvery+BackupLate:
		add(Concern{Code: BackupLateCode, Urgent: true, Since: c.BackupAt})
	case c.BackupAt.IsZero() && !c.Started.IsZero() && now.Sub(c.Started) >= BackupFirst:
		add(Concern{Code: BackupMissing, Urgent: true, Since: c.Started})
	}
	switch {
	case c.BackupDir == "":
	case c.BackupAt.IsZero():
	case c.ProvedBad > 0:
		add(Concern{Code: BackupBad, Urgent: true, Since: c.ProvedAt, Count: c.ProvedBad})
	case c.ProvedAt.IsZero() || now.Sub(c.ProvedAt) >= 8*24*time.Hour+c.BackupEvery:
		add(Concern{Code: BackupUnproved, Since: c.ProvedAt})
	}
	if c.OwnSteps != "" {
		add(Concern{Code: OwnSteps, Urgent: true, Detail: c.OwnSteps})
	}
	for code, until := range map[Code]time.Time{Certificate: c.CertificateUntil, CA: c.CAUntil} {
		if !until.IsZero() && until.Sub(now) < CertificateEnds {
			add(Concern{Code: code, Urgent: true, Since: until})
		}
	}
	return list
}
