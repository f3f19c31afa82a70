package localapi

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/pipe"
)

func listen(path string) (net.Listener, error) {
	l, err := pipe.Listen(pipeName(path), pipeRights)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		err = fmt.Errorf("%w: a collector on Windows runs with an administrator's rights: %w", fs.ErrPermission, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listen at local pipe: %w", err)
	}
	return l, nil
}

// dial says of a failure what that of a socket would say.
func dial(ctx context.Context, path string) (net.Conn, error) {
	c, err := pipe.Dial(ctx, pipeName(path))
	if err != nil {
		if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
			err = fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
		return nil, &net.OpError{Op: "dial", Net: "pipe", Err: err}
	}
	return c, nil
}

// peerOf asks Windows who connected. The system and administrators stand for root.
func peerOf(c net.Conn) peer {
	p, ok := c.(*pipe.Conn)
	if !ok {
		return peer{}
	}
	who, err := p.Client()
	if err != nil || who.SID == "" {
		return peer{}
	}
	out := peer{known: true, uid: unknownUID, sid: who.SID}
	me, err := windows.GetCurrentProcessToken().GetTokenUser()
	switch {
	case who.Admin:
		out.uid = 0
	case err == nil && me.User.Sid.String() == who.SID:
		out.uid = os.Geteuid()
	}
	return out
}

// unknownUID is no user's number: os.Geteuid is -1 on Windows.
const unknownUID = -2
