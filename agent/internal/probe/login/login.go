package login

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/session"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	newest = 2000 // records of a history
	// maxUID bounds the users of lastlog, a file with holes in which each has a place.
	maxUID      = 16384
	lastlogSize = 292 // struct lastlog: 32-bit time, terminal of 32 bytes, host of 256
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindLogin, Schema: record.SchemaLogin, Volatility: probe.Machine, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	size := session.UtmpSize()
	for _, source := range []string{record.SourceWtmp, record.SourceBtmp} {
		b, left, err := r.Tail("var/log/"+source, size, newest)
		o.Miss(err)
		if left > 0 {
			o.Miss(fmt.Errorf("read %s: the %d oldest records are left out", source, left))
		}
		list, err := session.ParseUtmp(b, size)
		o.Miss(err)
		for i := range list {
			if err := o.Write(past(source, &list[i])); err != nil {
				return err
			}
		}
	}
	b, err := r.File("var/log/lastlog", maxUID*lastlogSize)
	o.Miss(err)
	list := parseLastlog(b)
	for i := range list {
		if err := o.Write(&list[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func past(source string, s *record.Session) *record.Login {
	return &record.Login{
		Source: source, Kind: s.Kind, User: s.User, UserRaw: s.UserRaw, UID: record.Unknown, TTY: s.TTY,
		Host: s.RemoteHost, HostRaw: s.HostRaw, Addr: s.RemoteAddr, PID: s.LeaderPID, At: s.Since,
	}
}

// parseLastlog reads the places of the users, from 0 on. Who never signed in has zeros.
func parseLastlog(b []byte) (list []record.Login) {
	for uid := int64(0); len(b) >= lastlogSize; uid, b = uid+1, b[lastlogSize:] {
		sec := binary.NativeEndian.Uint32(b)
		if sec == 0 {
			continue
		}
		l := record.Login{Source: record.SourceLastlog, UID: uid, At: time.Unix(int64(sec), 0).UTC()}
		tty, _, _ := bytes.Cut(b[4:36], []byte{0})
		host, _, _ := bytes.Cut(b[36:lastlogSize], []byte{0})
		l.TTY, _ = record.Text(tty)
		l.Host, l.HostRaw = record.Text(host)
		list = append(list, l)
	}
	return list
}
