package localapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"time"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/pipe"
)

// listen makes the pipe.
func listen(path string) (net.Listener, error) {
	l, err := pipe.Listen(PipeName(path), pipeRights)
	if errors.Is(err, pipe.ErrInUse) {
		return nil, fmt.Errorf("%w: %w", ErrInUse, err)
	}
	if err != nil {
		return nil, err
	}
	return l, nil
}

// dial connects to the pipe. Where nobody answers, the error wraps [ErrNotRunning].
func dial(ctx context.Context, path string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	c, err := pipe.Dial(ctx, PipeName(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, err
	}
	return c, nil
}

// everybodyIsKnown: Windows tells of every client who it is, unless the client hides it
// (SECURITY_ANONYMOUS).
const everybodyIsKnown = true

// peerOf returns who is at the other end, as far as Windows tells.
func peerOf(c net.Conn) Peer {
	p, ok := c.(*pipe.Conn)
	if !ok {
		return Peer{}
	}
	who, err := p.Client()
	peer := Peer{UID: who.SID, PID: int(who.PID), SID: who.SID}
	switch {
	case err != nil && who.SID == "":
		return Peer{PID: peer.PID}
	case who.Admin:
		peer.UID = rootUser
	}
	return peer
}

// accountPatience is how long Windows may take to give an account its name: it may ask a
// domain controller, which an isolated PC does not reach.
const accountPatience = 300 * time.Millisecond

// accountOf returns the name of an account, or its SID where that is not known soon.
func accountOf(sid string) string {
	found := make(chan string, 1)
	go func() {
		name := sid
		if s, err := windows.StringToSid(sid); err == nil {
			if account, domain, _, err := s.LookupAccount(""); err == nil {
				name = domain + `\` + account
			}
		}
		found <- name
	}()
	limit := time.NewTimer(accountPatience)
	defer limit.Stop()
	select {
	case name := <-found:
		return name
	case <-limit.C:
		return sid
	}
}

// found returns the peer with its name.
func (p Peer) found() Peer {
	if p.SID != "" {
		p.Name = accountOf(p.SID)
	}
	return p
}

// reporter returns the account name of the peer.
func (p Peer) reporter() string {
	if p.SID == "" {
		return unknownReporter
	}
	return accountOf(p.SID)
}
