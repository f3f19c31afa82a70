package session

import (
	"context"
	"time"

	"hozen/agent/internal/probe/winsys"
)

// read asks all three sources.
func read(ctx context.Context, _ string) ([]source, error) {
	var sys winsys.System
	var all []source
	for _, ask := range []func(winsys.System) source{terminals, logons, visitors} {
		if err := ctx.Err(); err != nil {
			return append(all, source{unread: 1, err: err}), nil
		}
		all = append(all, ask(sys))
	}
	return all, nil
}

func terminals(sys winsys.System) (s source) {
	list, err := sys.Terminals()
	for _, t := range list {
		if r, ok := (terminal{t.ID, t.Station, t.State, t.Info, t.Address, t.Client}).record(); ok {
			s.sessions = append(s.sessions, r)
		}
	}
	s.err = err
	return s
}

func logons(sys winsys.System) (s source) {
	list, skipped, err := sys.Logons()
	for _, l := range list {
		s.sessions = append(s.sessions, logon{l.ID, l.User, l.Domain, l.Package, l.Type, l.Session, l.SID, l.At}.record())
	}
	s.unread, s.err = skipped, err
	return s
}

func visitors(sys winsys.System) (s source) {
	list, err := sys.Visitors()
	now := time.Now()
	for _, v := range list {
		s.sessions = append(s.sessions, visitor{v.Computer, v.User, v.Seconds, v.Idle}.record(now))
	}
	s.err = err
	return s
}
