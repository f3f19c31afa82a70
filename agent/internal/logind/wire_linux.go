package logind

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"
)

// wire is a connection to a message bus. Only the coding of messages is godbus's: its
// connections decode whatever any user of the PC sends to us, keep the descriptors that
// come along, and end the whole program at an array of them.
type wire struct {
	sock *net.UnixConn
	in   *inbox
	done chan struct{} // closed when the connection has ended
	name string        // our unique name

	writing sync.Mutex

	mu      sync.Mutex
	serial  uint32
	waiting map[uint32]chan answer
}

// answer is what came back of a call.
type answer struct {
	body []any
	fds  []int
	err  error
}

// maxFrame is the longest message that is looked at. Longer ones are passed over.
const maxFrame = 1 << 20

// dial connects, says who we are and reads until the connection ends.
func dial(ctx context.Context, address string, in *inbox) (*wire, error) {
	path, ok := strings.CutPrefix(address, "unix:path=")
	if !ok {
		return nil, fmt.Errorf("connect to bus %q: not unix:path=…", address)
	}
	path, _, _ = strings.Cut(path, ",")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	w := &wire{sock: conn.(*net.UnixConn), in: in, done: make(chan struct{}), waiting: map[uint32]chan answer{}}
	if err := w.greet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	go w.read()
	body, err := w.call(ctx, busName, "/org/freedesktop/DBus", busName+".Hello")
	if err == nil {
		err = dbus.Store(body, &w.name)
	}
	if err != nil {
		w.close()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return w, nil
}

// greet authenticates by the credentials that the kernel vouches for (D-Bus
// specification, "Authentication Protocol").
func (w *wire) greet() error {
	if err := w.sock.SetDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	for _, step := range [][2]string{{"\x00AUTH EXTERNAL " + uid, "OK "}, {"NEGOTIATE_UNIX_FD", "AGREE_UNIX_FD"}, {"BEGIN", ""}} {
		if _, err := io.WriteString(w.sock, step[0]+"\r\n"); err != nil {
			return err
		}
		if step[1] == "" {
			break
		}
		line := make([]byte, 0, 128)
		for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\r\n")); { // not a byte more: messages follow
			if _, err := w.sock.Read(b); err != nil {
				return err
			}
			if line = append(line, b[0]); len(line) > 1024 {
				return errors.New("the bus does not end its line")
			}
		}
		if !strings.HasPrefix(string(line), step[1]) {
			return fmt.Errorf("the bus says %.60q", line)
		}
	}
	return w.sock.SetDeadline(time.Time{})
}

// close ends the connection.
func (w *wire) close() { w.sock.Close() }

// call calls a method and returns the body of the answer.
func (w *wire) call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error) {
	a := w.ask(ctx, dest, path, method, args...)
	closeAll(a.fds)
	return a.body, a.err
}

// ask is call for answers with descriptors, which are the caller's from then on.
func (w *wire) ask(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) answer {
	dot := strings.LastIndexByte(method, '.')
	m := &dbus.Message{Type: dbus.TypeMethodCall, Body: args, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(dest), dbus.FieldPath: dbus.MakeVariant(path),
		dbus.FieldInterface: dbus.MakeVariant(method[:dot]), dbus.FieldMember: dbus.MakeVariant(method[dot+1:]),
	}}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		return answer{err: err}
	}
	back := make(chan answer, 1)
	w.mu.Lock()
	w.serial++
	serial := w.serial
	w.waiting[serial] = back
	w.mu.Unlock()
	binary.LittleEndian.PutUint32(b.Bytes()[8:], serial) // godbus keeps the number to itself
	if err := w.write(b.Bytes()); err != nil {
		w.forget(serial)
		return answer{err: err}
	}
	select {
	case a := <-back:
		return a
	case <-ctx.Done():
	case <-w.done:
	}
	w.forget(serial)
	select {
	case a := <-back: // at the last moment
		return a
	default:
	}
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	return answer{err: errLost}
}

func (w *wire) write(b []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.sock.SetWriteDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	_, err := w.sock.Write(b)
	if err != nil {
		w.close() // half a message may have gone out
	}
	return err
}

func (w *wire) forget(serial uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waiting, serial)
}

// read takes messages apart until the connection ends.
func (w *wire) read() {
	defer close(w.done)
	defer w.close()
	var fds []int // that came and belong to messages not yet looked at
	defer func() { closeAll(fds) }()
	buf, oob := make([]byte, 16<<10), make([]byte, 4096)
	var have []byte
	var skip int64
	for {
		n, oobn, _, _, err := w.sock.ReadMsgUnix(buf, oob)
		if oobn > 0 {
			fds = append(fds, rights(oob[:oobn])...)
		}
		if err != nil || n == 0 {
			return
		}
		b := buf[:n]
		if skip > 0 {
			k := min(skip, int64(len(b)))
			b, skip = b[k:], skip-k
		}
		have = append(have, b...)
		for len(have) >= fixedHead {
			size, err := frameSize(have)
			if err != nil {
				return
			}
			if size > maxFrame {
				// What descriptors it has cannot be told, and nothing for us is so long.
				return
			}
			if int64(len(have)) < size {
				break
			}
			frame := have[:size]
			h, err := parseHead(frame)
			if err != nil || int(h.fds) > len(fds) {
				return
			}
			w.message(h, frame, fds[:h.fds:h.fds])
			fds = fds[h.fds:]
			have = have[size:]
		}
		if len(have) == 0 {
			have = nil // a long one must not stay
		} else {
			have = append([]byte(nil), have...)
		}
	}
}

// message gives a message to whom it is for; its descriptors too, or closes them.
func (w *wire) message(h head, frame []byte, fds []int) {
	switch h.kind {
	case typeReply, typeError:
		w.mu.Lock()
		back := w.waiting[h.replyTo]
		delete(w.waiting, h.replyTo)
		w.mu.Unlock()
		if back == nil {
			break
		}
		a := answer{fds: append([]int(nil), fds...)}
		a.body, a.err = decode(frame)
		if a.err == nil && h.kind == typeError {
			a.err = dbus.Error{Name: h.name, Body: a.body}
		}
		back <- a
		return
	case typeSignal:
		if len(fds) > 0 || !w.in.accepts(h) {
			break
		}
		if body, err := decode(frame); err == nil {
			w.in.deliver(&dbus.Signal{Sender: h.sender, Path: dbus.ObjectPath(h.path), Name: h.iface + "." + h.member, Body: body})
		}
	}
	closeAll(fds)
}

// decode reads the body of a message. Descriptors in it are numbers without meaning.
func decode(frame []byte) (body []any, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("decode message of the bus: %v", v)
		}
	}()
	m, err := dbus.DecodeMessage(bytes.NewReader(frame))
	if err != nil {
		return nil, fmt.Errorf("decode message of the bus: %w", err)
	}
	return m.Body, nil
}

// rights takes descriptors out of what recvmsg(2) gave; Go had them made close-on-exec.
func rights(oob []byte) (fds []int) {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	for i := range list {
		if got, err := unix.ParseUnixRights(&list[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd) // nobody else knows of it
	}
}
