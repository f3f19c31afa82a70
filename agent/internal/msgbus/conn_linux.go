package msgbus

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

// Config says what a Conn is connected to.
type Config struct {
	// Address is where it listens, "unix:path=…". Default [SystemBus].
	Address string
	// Peer says that there is no bus, but one program that speaks D-Bus itself.
	Peer bool
	// Signals takes signals. Default: none are taken.
	Signals Signals
}

// Signals takes signals. Both methods are called in the order in which signals come, and
// must not wait.
type Signals interface {
	// Accepts looks at the header alone: any user of the PC may send signals to anybody.
	Accepts(Head) bool
	// Deliver gets what was accepted.
	Deliver(*dbus.Signal)
}

// Conn is a connection. It is safe for concurrent use.
type Conn struct {
	sock *net.UnixConn
	cfg  Config
	done chan struct{} // closed when the connection has ended
	name string        // our unique name

	writing sync.Mutex

	mu      sync.Mutex
	serial  uint32
	waiting map[uint32]chan answer
}

// callLimit is how long the greeting, and sending a message, may take.
const callLimit = 5 * time.Second

// answer is what came back of a call.
type answer struct {
	body []any
	fds  []int
	err  error
}

// Dial connects, says who we are and reads until the connection ends.
func Dial(ctx context.Context, c Config) (*Conn, error) {
	if c.Address == "" {
		c.Address = SystemBus
	}
	path, ok := strings.CutPrefix(c.Address, "unix:path=")
	if !ok {
		return nil, fmt.Errorf("connect to bus %q: not unix:path=…", c.Address)
	}
	path, _, _ = strings.Cut(path, ",")
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	w := &Conn{sock: conn.(*net.UnixConn), cfg: c, done: make(chan struct{}), waiting: map[uint32]chan answer{}}
	if err := w.greet(); err != nil {
		conn.Close()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	go w.read()
	if c.Peer {
		return w, nil
	}
	body, err := w.Call(ctx, Name, Path, Name+".Hello")
	if err == nil {
		err = dbus.Store(body, &w.name)
	}
	if err != nil {
		w.Close()
		return nil, fmt.Errorf("connect to the system bus: %w", err)
	}
	return w, nil
}

// greet authenticates by the credentials that the kernel vouches for (D-Bus
// specification, "Authentication Protocol").
func (w *Conn) greet() error {
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

// Close ends the connection.
func (w *Conn) Close() { w.sock.Close() }

// Done is closed when the connection has ended.
func (w *Conn) Done() <-chan struct{} { return w.done }

// Name is the unique name that the bus gave us; empty with a peer.
func (w *Conn) Name() string { return w.name }

// Call calls a method, given with its interface, and returns the body of the answer. An
// answer that is an error is a [dbus.Error].
func (w *Conn) Call(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) ([]any, error) {
	a := w.ask(ctx, dest, path, method, args...)
	closeAll(a.fds)
	return a.body, a.err
}

// Open calls a method that answers with one descriptor.
func (w *Conn) Open(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) (*os.File, error) {
	a := w.ask(ctx, dest, path, method, args...)
	if a.err == nil && len(a.fds) != 1 {
		a.err = fmt.Errorf("%d descriptors came back", len(a.fds))
	}
	if a.err != nil {
		closeAll(a.fds)
		return nil, a.err
	}
	return os.NewFile(uintptr(a.fds[0]), method), nil
}

func (w *Conn) ask(ctx context.Context, dest string, path dbus.ObjectPath, method string, args ...any) answer {
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
	return answer{err: ErrLost}
}

func (w *Conn) write(b []byte) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if err := w.sock.SetWriteDeadline(time.Now().Add(callLimit)); err != nil {
		return err
	}
	_, err := w.sock.Write(b)
	if err != nil {
		w.Close() // half a message may have gone out
	}
	return err
}

// forget takes a call out of those that wait and returns where its answer goes; nil when
// nobody waits.
func (w *Conn) forget(serial uint32) chan answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	back := w.waiting[serial]
	delete(w.waiting, serial)
	return back
}

// read takes messages until the connection ends.
func (w *Conn) read() {
	defer close(w.done)
	defer w.Close()
	r := &reader{sock: w.sock, oob: make([]byte, 4096)}
	for {
		more := w.next(r)
		closeAll(r.fds) // of whatever nobody took
		r.fds = nil
		if !more {
			return
		}
	}
}

// next reads one message; false says that no other can follow. Descriptors come no
// sooner than the first byte of their message and no later than its last, and never a
// byte more than the message is read: so those of one that is passed over are known
// without understanding it.
func (w *Conn) next(r *reader) bool {
	head := make([]byte, fixedHead, 1024)
	if r.fill(head) != nil {
		return false
	}
	size, whole, err := frameSize(head)
	if err != nil {
		return false // no bus passes such a message on, and where it ends cannot be told
	}
	if size > maxHead {
		return r.skip(whole-fixedHead) == nil
	}
	head = append(head, make([]byte, size-fixedHead)...)
	if r.fill(head[fixedHead:]) != nil {
		return false
	}
	h, err := parseHead(head)
	if err != nil {
		return r.skip(whole-size) == nil
	}
	limit, back := int64(0), chan answer(nil)
	switch h.kind {
	case typeReply, typeError:
		if back = w.forget(h.replyTo); back != nil {
			limit = maxAnswer
		}
	case typeSignal:
		if w.cfg.Signals != nil && h.fds == 0 && w.cfg.Signals.Accepts(h) {
			limit = maxSignal
		}
	}
	if whole > limit {
		if back != nil {
			back <- answer{err: fmt.Errorf("the answer has %d bytes, at most %d are read", whole, limit)}
		}
		return r.skip(whole-size) == nil
	}
	frame := append(head, make([]byte, whole-size)...)
	err = r.fill(frame[size:])
	switch {
	case back != nil && err != nil:
		back <- answer{err: ErrLost}
	case back != nil:
		a := answer{fds: r.fds}
		r.fds = nil
		a.body, a.err = decode(frame)
		if a.err == nil && h.kind == typeError {
			a.err = dbus.Error{Name: h.name, Body: a.body}
		}
		back <- a
	case err == nil:
		if body, derr := decode(frame); derr == nil {
			w.cfg.Signals.Deliver(&dbus.Signal{Sender: h.Sender, Path: dbus.ObjectPath(h.Path), Name: h.Interface + "." + h.Member, Body: body})
		}
	}
	return err == nil
}

// reader reads bytes and what descriptors come with them.
type reader struct {
	sock *net.UnixConn
	oob  []byte
	fds  []int
}

func (r *reader) fill(b []byte) error {
	for len(b) > 0 {
		n, oobn, _, _, err := r.sock.ReadMsgUnix(b, r.oob)
		if oobn > 0 {
			r.fds = append(r.fds, rights(r.oob[:oobn])...)
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return io.EOF
		}
		b = b[n:]
	}
	return nil
}

// skip passes n bytes over.
func (r *reader) skip(n int64) error {
	b := make([]byte, min(n, 64<<10))
	for n > 0 {
		k := min(n, int64(len(b)))
		if err := r.fill(b[:k]); err != nil {
			return err
		}
		closeAll(r.fds)
		r.fds = nil
		n -= k
	}
	return nil
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
