// Package fakelogind is a private message bus and, on it, a login service that says of
// itself what the real one would, but never switches anything off. It knows nothing of
// who takes its locks.
//
// Interface: org.freedesktop.login1(5), as far as locks and shutdowns go.
package fakelogind

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// ErrNoDaemon says what to install.
var ErrNoDaemon = errors.New("dbus-daemon is not here: install the Debian package dbus")

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>custom</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>
`

// Bus is a private message bus.
type Bus struct {
	socket string
	cmd    *exec.Cmd
	cancel context.CancelFunc
}

// StartBus starts a bus whose socket lies in dir. It lives until ctx ends or Close. The
// error is [ErrNoDaemon] where the machine has none.
func StartBus(ctx context.Context, dir string) (*Bus, error) {
	daemon, err := exec.LookPath("dbus-daemon")
	if err != nil {
		return nil, ErrNoDaemon
	}
	b := &Bus{socket: filepath.Join(dir, "bus")}
	conf := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, busConfig, b.socket), 0o600); err != nil {
		return nil, fmt.Errorf("write the bus's settings: %w", err)
	}
	ctx, b.cancel = context.WithCancel(ctx)
	b.cmd = exec.CommandContext(ctx, daemon, "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=1")
	var said bytes.Buffer
	b.cmd.Stderr = &said
	out, err := b.cmd.StdoutPipe()
	if err == nil {
		err = b.cmd.Start()
	}
	if err != nil {
		b.cancel()
		return nil, fmt.Errorf("start dbus-daemon: %w", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil { // its address, once it listens
		b.Close()
		return nil, fmt.Errorf("start dbus-daemon: %w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return b, nil
}

// Socket is the file of the bus's socket.
func (b *Bus) Socket() string { return b.socket }

// Address is how the bus is named to its clients.
func (b *Bus) Address() string { return "unix:path=" + b.socket }

// Close ends the bus.
func (b *Bus) Close() {
	b.cancel()
	_ = b.cmd.Wait() // it was killed
}
