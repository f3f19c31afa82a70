package profile

import (
	"time"

	"hozen/internal/artifact"
)

const (
	// Ransom is Flash with what tells how far ransomware came and what is left to restore from.
	Ransom = "ransom"
	// Triage is what an expert asks for first of a PC's disk: logs, histories, what starts by
	// itself, and a list of what changed when.
	Triage = "triage"
)

// ransom reads at full speed: whoever encrypts the disk would starve a reading that gives way.
func ransom() Profile {
	return Profile{Name: Ransom, Usual: 10 * time.Second, UsualBytes: 500_000, Lines: []Line{
		{Kind: artifact.KindProcess, Budget: 2 * time.Second},
		{Kind: artifact.KindNetConn, Budget: 2 * time.Second},
		{Kind: artifact.KindOpenFile, Budget: 2 * time.Second},
		{Kind: artifact.KindProcIO, Budget: 4 * time.Second},
		{Kind: artifact.KindSession, Budget: 500 * time.Millisecond},
		{Kind: artifact.KindNetConfig, Budget: 500 * time.Millisecond},
		{Kind: artifact.KindStorage, Budget: 2 * time.Second},
		{Kind: artifact.KindAutostart, Budget: 5 * time.Second},
		{Kind: artifact.KindHostInfo, Budget: 500 * time.Millisecond},
		{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
		{Kind: artifact.KindBackup, Budget: 3 * time.Second},
		{Kind: artifact.KindFileStat, Budget: 20 * time.Second},
		{Kind: artifact.KindRansomNote, Budget: 8 * time.Second},
		{Kind: artifact.KindExeHash, Budget: 5 * time.Second, Rest: true},
		{Kind: artifact.KindFootprint, Budget: time.Second},
	}}
}

func triage() Profile {
	return Profile{Name: Triage, Gentle: true, Usual: 40 * time.Second, UsualBytes: 30_000_000, Lines: []Line{
		{Kind: artifact.KindProcess, Budget: 5 * time.Second},
		{Kind: artifact.KindNetConn, Budget: 5 * time.Second},
		{Kind: artifact.KindSession, Budget: 2 * time.Second},
		{Kind: artifact.KindStorage, Budget: 2 * time.Second},
		{Kind: artifact.KindLogin, Budget: 2 * time.Second},
		{Kind: artifact.KindAutostart, Budget: 5 * time.Second},
		{Kind: artifact.KindHostInfo, Budget: time.Second},
		{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
		// The list comes before the copies: reading a file may change the time of its last access.
		{Kind: artifact.KindBodyFile, Budget: 30 * time.Second},
		{Kind: artifact.KindHistory, Budget: 15 * time.Second},
		{Kind: artifact.KindStartFile, Budget: 30 * time.Second},
		{Kind: artifact.KindLogFile, Budget: 60 * time.Second},
		{Kind: artifact.KindUserFile, Budget: 30 * time.Second},
		{Kind: artifact.KindPkgCheck, Budget: 90 * time.Second, Rest: true},
		{Kind: artifact.KindFootprint, Budget: time.Second},
	}}
}
