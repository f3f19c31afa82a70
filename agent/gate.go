package main

import (
	"context"
	"slices"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/session"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact/record"
)

// The codes of what is gone for good when the PC is switched off.
const (
	lossMemory      = "memory"
	lossProcesses   = "processes"
	lossConnections = "connections"
	lossSessions    = "sessions"
	lossDiskKeys    = "disk_keys"
	lossUnsent      = "unsent_evidence"
)

// gateLimit is how long counting may take; a person is waiting, or an infected PC.
const gateLimit = 500 * time.Millisecond

const unknownCount = -1

// losses says what switching the PC off now would destroy.
func (a *agent) losses(ctx context.Context) localapi.Gate {
	ctx, cancel := context.WithTimeout(ctx, gateLimit)
	defer cancel()
	sp := a.spool.Status()
	g := localapi.Gate{
		Processes: unknownCount, Connections: unknownCount, Sessions: unknownCount,
		UnsentAcquisitions: sp.Waiting, Connected: a.uplink.Status().Connected,
		Isolated: a.isolate.Status(ctx).Observed == isolate.Isolated,
		Losses:   []string{lossMemory, lossProcesses, lossConnections, lossSessions, lossDiskKeys},
	}
	for _, i := range a.spool.List() {
		if i.State == spool.Sealed || i.State == spool.Interrupted {
			g.UnsentBytes += i.Bytes
		}
	}
	if g.UnsentAcquisitions > 0 {
		g.Losses = append(g.Losses, lossUnsent)
	}
	pass := scan.New(scan.Options{})
	if p, _ := pass.Processes(ctx); len(p) > 0 { // what is missing beside them makes the count a lower one
		g.Processes = len(p)
	}
	if s, err := pass.Sockets(ctx); len(s) > 0 || err == nil {
		g.Connections = 0
		for i := range s {
			if s[i].Proto == record.ProtoTCP && s[i].State == "ESTABLISHED" {
				g.Connections++
			}
		}
	}
	if list := signIns(ctx); list != nil {
		g.Sessions = len(list)
	}
	return g
}

// sessionList keeps what the probe of sessions writes.
type sessionList []record.Session

func (l *sessionList) Write(r probe.Record) error {
	if s, ok := r.(*record.Session); ok {
		*l = append(*l, *s)
	}
	return nil
}

// signIns returns who is signed in, or nil where that cannot be found out. systemd's
// own files and utmp tell of the same people; those of systemd know more.
func signIns(ctx context.Context) []record.Session {
	all := sessionList{}
	if err := session.New("/").Acquire(ctx, &all); err != nil && len(all) == 0 {
		return nil
	}
	people := slices.DeleteFunc(all, func(s record.Session) bool { return s.Kind != "user" })
	bySystemd := func(s record.Session) bool { return s.Source == record.SourceLogind }
	if slices.ContainsFunc(people, bySystemd) {
		return slices.DeleteFunc(people, func(s record.Session) bool { return !bySystemd(s) })
	}
	return people
}
