package msgbus

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// peer is the other side, which writes whatever a test wants.
type peer struct {
	t    *testing.T
	conn *net.UnixConn
	in   *bufio.Reader
}

// taker takes signals of the interface "c.d".
type taker chan *dbus.Signal

func (taker) Accepts(h Head) bool        { return h.Interface == "c.d" }
func (s taker) Deliver(sig *dbus.Signal) { s <- sig }

func connect(t *testing.T) (*Conn, *peer, taker) {
	t.Helper()
	dir, err := os.MkdirTemp("", "bus") // t.TempDir may be longer than a socket's address
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan *peer, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			accepted <- nil
			return
		}
		p := &peer{t, conn.(*net.UnixConn), bufio.NewReader(conn)}
		for _, answer := range []string{"OK 0123\r\n", "AGREE_UNIX_FD\r\n", ""} {
			if _, err := p.in.ReadString('\n'); err != nil {
				break
			}
			if _, err := io.WriteString(conn, answer); err != nil {
				break
			}
		}
		accepted <- p
	}()
	got := make(taker, 100)
	c, err := Dial(t.Context(), Config{Address: "unix:path=" + path, Peer: true, Signals: got})
	if err != nil {
		t.Fatal(err)
	}
	p := <-accepted
	t.Cleanup(func() { c.Close(); p.conn.Close(); <-c.Done() })
	return c, p, got
}

// send writes a message, with a copy of a descriptor where there is one.
func (p *peer) send(b []byte, file *os.File) {
	p.t.Helper()
	var oob []byte
	if file != nil {
		oob = unix.UnixRights(int(file.Fd()))
		defer runtime.KeepAlive(file)
	}
	n, _, err := p.conn.WriteMsgUnix(b[:min(len(b), 1000)], oob, nil)
	if err == nil {
		_, err = p.conn.Write(b[n:])
	}
	if err != nil {
		p.t.Error(err)
	}
}

func signal(t *testing.T, iface string, headers map[dbus.HeaderField]dbus.Variant, body ...any) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a")), dbus.FieldInterface: dbus.MakeVariant(iface), dbus.FieldMember: dbus.MakeVariant("E"),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body...)),
	}}
	for k, v := range headers {
		m.Headers[k] = v
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unknownHeader is a message with a header field of a later version of the protocol,
// which the specification allows and buses may pass on.
func unknownHeader(t *testing.T) []byte {
	b := signal(t, "c.d", map[dbus.HeaderField]dbus.Variant{dbus.FieldSender: dbus.MakeVariant(":1.9")}, "x")
	// The sender becomes a field 77 of another type.
	i := bytes.Index(b, []byte{byte(dbus.FieldSender), 1, 's', 0})
	if i < 0 {
		t.Fatal("no sender")
	}
	b[i], b[i+2] = 77, 'x'
	return b
}

// TestPassedOver: whatever any user of the PC sends, what comes behind it is heard, and
// its descriptors are closed.
func TestPassedOver(t *testing.T) {
	fds := map[dbus.HeaderField]dbus.Variant{dbus.FieldUnixFDs: dbus.MakeVariant(uint32(1))}
	oddKind := signal(t, "c.d", fds, "x")
	oddKind[1] = 9
	cases := map[string][]byte{
		"long body":         signal(t, "c.d", fds, strings.Repeat("x", 3<<20)),
		"long path":         signal(t, "c.d", map[dbus.HeaderField]dbus.Variant{dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/" + strings.Repeat("x", maxHead)))}, "x"),
		"descriptors":       signal(t, "c.d", fds, []dbus.UnixFD{0}),
		"more than it says": signal(t, "c.d", nil, "x"),
		"unknown header":    unknownHeader(t),
		"unknown type":      oddKind,
		"body that is none": signal(t, "c.d", map[dbus.HeaderField]dbus.Variant{dbus.FieldSignature: dbus.MakeVariant(dbus.ParseSignatureMust("aaah"))}, "xxxxxxxxxxxxxxxxxxxxx"),
		"not for us":        signal(t, "x.y", nil, "x"),
	}
	for name, b := range cases {
		t.Run(name, func(t *testing.T) {
			c, p, got := connect(t)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			p.send(b, w)
			w.Close()
			p.send(signal(t, "c.d", nil, "behind"), nil)
			for heard := ""; heard != "behind"; {
				select {
				case sig := <-got:
					if heard = sig.Body[0].(string); heard != "behind" && name != "more than it says" {
						t.Errorf("delivered: %.100v", sig)
					}
				case <-c.Done():
					t.Fatal("the connection ended")
				}
			}
			if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := r.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("its descriptor stays open: %v", err)
			}
		})
	}
}

// TestLongAnswer fails the call at once, and nothing else.
func TestLongAnswer(t *testing.T) {
	c, p, got := connect(t)
	answer := func(body any) {
		var fixed [fixedHead]byte
		if _, err := io.ReadFull(p.in, fixed[:]); err != nil {
			t.Error(err)
			return
		}
		_, whole, err := frameSize(fixed[:])
		if err == nil {
			_, err = io.CopyN(io.Discard, p.in, whole-fixedHead)
		}
		if err != nil {
			t.Error(err)
			return
		}
		m := &dbus.Message{Type: dbus.TypeMethodReply, Body: []any{body}, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldReplySerial: dbus.MakeVariant(binary.LittleEndian.Uint32(fixed[8:])), dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(body)),
		}}
		var b bytes.Buffer
		if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
			t.Error(err)
		}
		p.send(b.Bytes(), nil)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	go func() {
		answer(strings.Repeat("x", maxAnswer))
		answer(strings.Repeat("x", 2<<20)) // longer than any signal may be
	}()
	if _, err := c.Call(ctx, "a.b", "/", "a.b.C"); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("%v", err)
	}
	body, err := c.Call(ctx, "a.b", "/", "a.b.C")
	if err != nil || len(body) != 1 || len(body[0].(string)) != 2<<20 {
		t.Errorf("%d, %v", len(body), err)
	}
	p.send(signal(t, "c.d", nil, "behind"), nil)
	<-got
}

// TestLost: a call whose answer breaks off ends at once.
func TestLost(t *testing.T) {
	c, p, _ := connect(t)
	go func() {
		p.in.Peek(1) // it fails when the test is over
		p.conn.Close()
	}()
	if _, err := c.Call(t.Context(), "a.b", "/", "a.b.C"); !errors.Is(err, ErrLost) {
		t.Errorf("%v", err)
	}
	<-c.Done()
}
