package winscan

import (
	"context"
	"fmt"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// Sockets returns the sockets of the PC, TCP first, with the processes that made them. A
// table that cannot be had with times is asked for without.
func (s *Scan) Sockets(ctx context.Context) ([]record.Socket, error) {
	if err := s.table(); err != nil {
		return nil, err
	}
	var list []record.Socket
	var missing int64
	var first error
	for _, t := range []winbytes.Table{{}, {V6: true}, {UDP: true}, {UDP: true, V6: true}} {
		if ctx.Err() != nil {
			return list, ctx.Err()
		}
		rows, source, err := s.sockets(t)
		for i := range rows {
			list = append(list, s.socket(t, source, &rows[i]))
		}
		if err != nil {
			if missing++; first == nil {
				first = err
			}
		}
	}
	if missing > 0 {
		return list, &probe.Missing{Skipped: missing, Err: fmt.Errorf("read sockets: %d of 4 tables not whole: %w", missing, first)}
	}
	return list, nil
}

// sockets reads one table, in the form that tells more if it can be had.
func (s *Scan) sockets(t winbytes.Table) (rows []winbytes.Socket, source string, err error) {
	t.Module = true
	b, err := s.sys.Sockets(t)
	if err == nil {
		if rows, err = winbytes.Sockets(t, b); err == nil {
			return rows, record.SourceOwnerModule, nil
		}
	}
	t.Module = false
	b, err = s.sys.Sockets(t)
	if err != nil {
		return nil, "", fmt.Errorf("table of %v: %w", t, err)
	}
	rows, err = winbytes.Sockets(t, b)
	return rows, record.SourceOwnerPID, err
}

func (s *Scan) socket(t winbytes.Table, source string, r *winbytes.Socket) record.Socket {
	k := record.Socket{
		Source: source, Family: record.FamilyInet, Proto: record.ProtoTCP, State: r.State,
		LocalAddr: r.Local.Addr().String(), LocalPort: r.Local.Port(), UID: record.Unknown, IfIndex: r.Scope,
		CreatedAt: winbytes.Time(r.Created), ServiceTag: r.ServiceTag,
	}
	if t.V6 {
		k.Family = record.FamilyInet6
	}
	if t.UDP {
		k.Proto = record.ProtoUDP
	}
	if r.Remote.IsValid() {
		k.RemoteAddr, k.RemotePort = r.Remote.Addr().String(), r.Remote.Port()
	}
	if r.PID != idlePID { // nobody's, as in TIME_WAIT
		o := record.Owner{PID: r.PID, FD: record.Unknown}
		// A process that began after its socket has the PID of the one that made it.
		if p := s.byID[r.PID]; p != nil && (k.CreatedAt.IsZero() || !p.StartedAt.After(k.CreatedAt)) {
			o.StartTicks, o.Comm = p.StartTicks, p.Comm
		}
		k.Owners = []record.Owner{o}
	}
	return k
}
