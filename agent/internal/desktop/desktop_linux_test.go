package desktop

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`

// newBus is a message bus of this user's own.
func newBus(t *testing.T) (address string) {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("dbus-daemon (Debian package dbus) is not here")
	}
	dir, err := os.MkdirTemp("", "bus")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, conf := filepath.Join(dir, "bus"), filepath.Join(dir, "conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, busConfig, socket), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "dbus-daemon", "--config-file="+conf, "--nofork", "--nopidfile", "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n')
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Wait() }) // it was killed
	return "unix:path=" + socket
}

type shown struct {
	title, body string
	urgency     any
	timeout     int32
}

type server struct{ shown chan shown }

func (s server) Notify(_ string, _ uint32, _, title, body string, _ []string, hints map[string]dbus.Variant, timeout int32) (uint32, *dbus.Error) {
	s.shown <- shown{title, body, hints["urgency"].Value(), timeout}
	return 1, nil
}

// TestShow also asks a desktop that starts later.
func TestShow(t *testing.T) {
	address := newBus(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	told := make(chan error, 1)
	go func() { told <- Show(ctx, address, Notice{Title: "隔離中", Body: "<b>call</b> & ask"}) }()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s := server{make(chan shown, 4)}
	if err := conn.Export(s, "/org/freedesktop/Notifications", service); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(service, dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	if got, want := <-s.shown, (shown{"隔離中", "&lt;b&gt;call&lt;/b&gt; &amp; ask", byte(2), 0}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := Show(ctx, address, Notice{Title: "訓練", Quiet: true}); err != nil {
		t.Fatal(err)
	}
	if got := <-s.shown; got.urgency != byte(1) {
		t.Errorf("%+v", got)
	}
}

func TestNoDesktop(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	address := newBus(t)
	told := make(chan error, 1)
	go func() { told <- Show(ctx, address, Notice{Title: "x"}) }()
	cancel()
	if err := <-told; err == nil {
		t.Error("shown to nobody")
	}
	if err := Show(t.Context(), "unix:path="+filepath.Join(t.TempDir(), "none"), Notice{}); err == nil {
		t.Error("shown without a bus")
	}
}
