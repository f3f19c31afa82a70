package wfp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/isolate"
)

// New returns a Firewall; it touches nothing.
func New(c Config) *Firewall {
	if c.App == "" {
		c.App, _ = os.Executable() // empty is told when it is needed
	}
	f := newFirewall(c, bfe{})
	f.has = hasSID
	return f
}

// hasSID reports whether the token of this process has a SID that is enabled, as a
// condition on the user looks for it.
func hasSID(sid []byte) bool {
	const enabled = 0x4 // SE_GROUP_ENABLED
	groups, err := windows.GetCurrentProcessToken().GetTokenGroups()
	if err != nil {
		return false
	}
	for _, g := range groups.AllGroups() {
		if g.Attributes&enabled != 0 && g.Sid.String() == sidString(sid) {
			return true
		}
	}
	return false
}

// bfe is the base filtering engine of this endpoint, by fwpuclnt.dll. Each call has a
// session of its own, so that a restart of the engine leaves nothing behind here.
type bfe struct{}

// client are the functions of fwpuclnt.dll (fwpmu.h).
type client struct {
	open, close, begin, commit, abort            *windows.LazyProc
	providerAdd, providerGet, providerDelete     *windows.LazyProc
	sublayerAdd, sublayerDelete                  *windows.LazyProc
	sublayersOpen, sublayersNext, sublayersClose *windows.LazyProc
	filterAdd, filterGet, filterDelete           *windows.LazyProc
	filtersOpen, filtersNext, filtersClose       *windows.LazyProc
	subscribe, unsubscribe, appID, free          *windows.LazyProc
}

// fwpuclnt finds the functions at the first call.
var fwpuclnt = sync.OnceValues(func() (c client, err error) {
	dll := windows.NewLazySystemDLL("fwpuclnt.dll")
	for _, f := range []struct {
		to   **windows.LazyProc
		name string
	}{
		{&c.open, "EngineOpen0"}, {&c.close, "EngineClose0"},
		{&c.begin, "TransactionBegin0"}, {&c.commit, "TransactionCommit0"}, {&c.abort, "TransactionAbort0"},
		{&c.providerAdd, "ProviderAdd0"}, {&c.providerGet, "ProviderGetByKey0"}, {&c.providerDelete, "ProviderDeleteByKey0"},
		{&c.sublayerAdd, "SubLayerAdd0"}, {&c.sublayerDelete, "SubLayerDeleteByKey0"},
		{&c.sublayersOpen, "SubLayerCreateEnumHandle0"}, {&c.sublayersNext, "SubLayerEnum0"}, {&c.sublayersClose, "SubLayerDestroyEnumHandle0"},
		{&c.filterAdd, "FilterAdd0"}, {&c.filterGet, "FilterGetByKey0"}, {&c.filterDelete, "FilterDeleteByKey0"},
		{&c.filtersOpen, "FilterCreateEnumHandle0"}, {&c.filtersNext, "FilterEnum0"}, {&c.filtersClose, "FilterDestroyEnumHandle0"},
		{&c.subscribe, "FilterSubscribeChanges0"}, {&c.unsubscribe, "FilterUnsubscribeChanges0"},
		{&c.appID, "GetAppIdFromFileName0"}, {&c.free, "FreeMemory0"},
	} {
		*f.to = dll.NewProc("Fwpm" + f.name)
		if ferr := (*f.to).Find(); ferr != nil {
			err = errors.Join(err, ferr)
		}
	}
	if err != nil {
		err = fmt.Errorf("load fwpuclnt.dll: %w: %w", errors.ErrUnsupported, err)
	}
	return c, err
})

// Codes of winerror.h.
const (
	codeAccessDenied   = 5
	codeUnknownIf      = 1717 // RPC_S_UNKNOWN_IF
	codeNotSupported   = 1764 // RPC_S_CANNOT_SUPPORT
	codeAlreadyExists  = 0x80320009
	codeInUse          = 0x8032000a
	codeNotFoundFirst  = 0x80320001 // FWP_E_CALLOUT_NOT_FOUND
	codeNotFoundLast   = 0x80320008 // FWP_E_NOT_FOUND
	codeNoAccessResult = 0x80070005
)

// check turns what a function returned into an error.
func check(p *windows.LazyProc, code uintptr) error {
	n := uint32(code)
	var err error
	switch {
	case n == 0:
		return nil
	case n == codeAccessDenied || n == codeNoAccessResult:
		err = isolate.ErrNeedsRoot
	case n == codeNotSupported || n == codeUnknownIf:
		err = errors.ErrUnsupported
	case n == codeAlreadyExists:
		err = errExists
	case n == codeInUse:
		err = errInUse
	case n >= codeNotFoundFirst && n <= codeNotFoundLast:
		err = errMissing
	default:
		err = windows.Errno(n)
	}
	return fmt.Errorf("%s: 0x%x: %w", p.Name, n, err)
}

// placed is an image at its place in memory, where it stays as long as somebody holds it.
type placed struct {
	words []uint64 // aligned as the engine needs it
}

func place(m *image) placed {
	p := placed{make([]uint64, (len(m.b)+7)/8+1)}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&p.words[0])), len(m.b))
	copy(b, m.b)
	m.move(b, uint64(p.address()))
	return p
}

func (p placed) address() uintptr { return uintptr(unsafe.Pointer(&p.words[0])) }

// process is this process's own memory, with what the engine put there.
type process struct{}

func (process) read(at uint64, n int) ([]byte, error) {
	if at < 1<<16 || at > 1<<47 { // no address of a program
		return nil, fmt.Errorf("pointer %#x: %w", at, errAnswer)
	}
	p := uintptr(at)
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n), nil
}

// session is one with the engine.
type session struct {
	client
	handle uintptr
}

func open() (*session, error) {
	c, err := fwpuclnt()
	if err != nil {
		return nil, err
	}
	s := &session{client: c}
	const wait, authWinNT = 5000, 10 // milliseconds; RPC_C_AUTHN_WINNT
	conf := place(encodeSession("Hozen", wait))
	r, _, _ := c.open.Call(0, authWinNT, 0, conf.address(), uintptr(unsafe.Pointer(&s.handle)))
	runtime.KeepAlive(conf)
	if err := check(c.open, r); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *session) end() { _, _, _ = s.close.Call(s.handle) }

// Transact implements engine.
func (bfe) Transact(ctx context.Context, reads bool, fn func(transaction) error) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	s, err := open()
	if err != nil {
		return err
	}
	defer s.end() // aborts what is not committed
	flags := uintptr(0)
	if reads {
		flags = transactionReading
	}
	r, _, _ := s.begin.Call(s.handle, flags)
	if err := check(s.begin, r); err != nil {
		return err
	}
	err = fn(s)
	if err == nil {
		err = ctx.Err() // who asked has gone; nothing is put in force behind his back
	}
	if err != nil {
		r, _, _ := s.abort.Call(s.handle)
		return errors.Join(err, check(s.abort, r))
	}
	r, _, _ = s.commit.Call(s.handle)
	return check(s.commit, r)
}

// Read implements transaction.
func (s *session) Read(keys []GUID) (i installed, err error) {
	var at uintptr
	key := ProviderKey
	r, _, _ := s.providerGet.Call(s.handle, uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(&at)))
	switch err := check(s.providerGet, r); {
	case err == nil:
		p, err := decodeProvider(process{}, uint64(at))
		s.release(&at)
		if err != nil {
			return i, err
		}
		i.provider = &p
	case !errors.Is(err, errMissing):
		return i, err
	}
	err = s.list(s.sublayersOpen, s.sublayersNext, s.sublayersClose, nil, func(at uint64) error {
		l, err := decodeSublayer(process{}, at)
		i.sublayers = append(i.sublayers, l)
		return err
	})
	if err != nil {
		return i, err
	}
	seen := map[GUID]bool{}
	take := func(all bool) func(uint64) error {
		return func(at uint64) error {
			f, err := decodeFilter(process{}, at)
			if err == nil && !seen[f.key] && (all || f.ours()) {
				seen[f.key] = true
				i.filters = append(i.filters, f)
			}
			return err
		}
	}
	for _, l := range layers {
		if err := s.list(s.filtersOpen, s.filtersNext, s.filtersClose, encodeTemplate(l.key), take(true)); err != nil {
			return i, err
		}
	}
	// Those of ours at other layers, where we put none.
	if err := s.list(s.filtersOpen, s.filtersNext, s.filtersClose, nil, take(false)); err != nil {
		return i, err
	}
	for _, k := range keys {
		if seen[k] {
			continue
		}
		var at uintptr
		r, _, _ := s.filterGet.Call(s.handle, uintptr(unsafe.Pointer(&k)), uintptr(unsafe.Pointer(&at)))
		err := check(s.filterGet, r)
		if errors.Is(err, errMissing) {
			continue
		}
		if err == nil {
			err = take(true)(uint64(at))
			s.release(&at)
		}
		if err != nil {
			return i, err
		}
	}
	return i, nil
}

// maxListed bounds a list of filters: an endpoint has a few thousand.
const maxListed = 1 << 15

// Filters lists all filters of this endpoint, and how many could not be read. It changes nothing.
func Filters(ctx context.Context) (list []Filter, unread int, err error) {
	err = bfe{}.Transact(ctx, true, func(t transaction) error {
		s, ok := t.(*session)
		if !ok {
			return errors.ErrUnsupported
		}
		var have installed
		err := s.list(s.sublayersOpen, s.sublayersNext, s.sublayersClose, nil, func(at uint64) error {
			l, err := decodeSublayer(process{}, at)
			have.sublayers = append(have.sublayers, l)
			return err
		})
		if err != nil {
			return err
		}
		err = s.list(s.filtersOpen, s.filtersNext, s.filtersClose, nil, func(at uint64) error {
			f, err := decodeFilter(process{}, at)
			if err != nil || len(have.filters) >= maxListed {
				unread++
				return nil
			}
			have.filters = append(have.filters, f)
			return nil
		})
		list = listed(have)
		return err
	})
	return list, unread, err
}

// page is how many objects are asked for at once.
const page = 256

// list calls one for each object of an enumeration; what it gets is gone afterwards.
func (s *session) list(begin, next, end *windows.LazyProc, template *image, one func(at uint64) error) error {
	var from uintptr
	var t placed
	if template != nil {
		t = place(template)
		from = t.address()
	}
	var handle uintptr
	r, _, _ := begin.Call(s.handle, from, uintptr(unsafe.Pointer(&handle)))
	runtime.KeepAlive(t)
	if err := check(begin, r); err != nil {
		return err
	}
	defer func() { _, _, _ = end.Call(s.handle, handle) }()
	for {
		var entries uintptr
		var n uint32
		r, _, _ := next.Call(s.handle, handle, page, uintptr(unsafe.Pointer(&entries)), uintptr(unsafe.Pointer(&n)))
		if err := check(next, r); err != nil {
			return err
		}
		at, err := pointers(process{}, uint64(entries), int(n))
		for _, a := range at {
			if err == nil {
				err = one(a)
			}
		}
		s.release(&entries)
		if err != nil || n < page {
			return err
		}
	}
}

func (s *session) release(at *uintptr) {
	if *at != 0 {
		_, _, _ = s.free.Call(uintptr(unsafe.Pointer(at)))
	}
}

// give calls a function that adds an object.
func (s *session) give(p *windows.LazyProc, m *image, more ...uintptr) error {
	o := place(m)
	r, _, _ := p.Call(slices.Concat([]uintptr{s.handle, o.address(), 0}, more)...)
	runtime.KeepAlive(o)
	return check(p, r)
}

// AddProvider implements transaction.
func (s *session) AddProvider(p provider) error { return s.give(s.providerAdd, encodeProvider(p)) }

// AddSublayer implements transaction.
func (s *session) AddSublayer(l sublayer) error { return s.give(s.sublayerAdd, encodeSublayer(l)) }

// AddFilter implements transaction.
func (s *session) AddFilter(f filter) error {
	m, err := encodeFilter(f)
	if err != nil {
		return err
	}
	return s.give(s.filterAdd, m, 0)
}

// Delete implements transaction.
func (s *session) Delete(what object, key GUID) error {
	p := map[object]*windows.LazyProc{filterObject: s.filterDelete, sublayerObject: s.sublayerDelete, providerObject: s.providerDelete}[what]
	r, _, _ := p.Call(s.handle, uintptr(unsafe.Pointer(&key)))
	return check(p, r)
}

// AppID implements engine by FwpmGetAppIdFromFileName0, which needs the program to be
// there.
func (bfe) AppID(path string) ([]byte, error) {
	c, err := fwpuclnt()
	if err != nil {
		return nil, err
	}
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, errNoApp)
	}
	var at uintptr
	r, _, _ := c.appID.Call(uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&at)))
	runtime.KeepAlive(name)
	if err := check(c.appID, r); err != nil {
		return nil, fmt.Errorf("program %q: %w: %w", path, errNoApp, err)
	}
	defer func() { _, _, _ = c.free.Call(uintptr(unsafe.Pointer(&at))) }()
	d := &decoder{m: process{}}
	blob := d.read(uint64(at), sizeBlob)
	size := int(le32(blob))
	if d.err != nil || size > blobMax {
		return nil, fmt.Errorf("program %q: %w", path, cmp.Or(d.err, errAnswer))
	}
	id := append([]byte(nil), d.read(le64(blob[8:]), size)...)
	return bytes16(strings.ToLower(text16(id))), d.err
}

// told is called by the engine. There is one for the life of the process, because Windows
// gives a program only so many.
var changed = sync.OnceValue(func() uintptr {
	return windows.NewCallback(func(context, at uintptr) uintptr {
		s := *(**subscriber)(unsafe.Pointer(&context))
		if b, err := (process{}).read(uint64(at), sizeChange); err == nil && s != nil {
			s.tell(decodeChange(b))
		}
		return 0
	})
})

// renewal is how often changes are asked for anew: when the engine was restarted nobody tells
// those who had asked before.
const renewal = 3 * time.Minute

// Subscribe implements engine.
func (bfe) Subscribe(ctx context.Context, to *subscriber) error {
	var pin runtime.Pinner
	pin.Pin(to)
	defer pin.Unpin()
	stop, err := subscribe(to)
	if err != nil {
		return err
	}
	close(to.began)
	again := time.NewTicker(renewal)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return stop()
		case <-again.C:
		}
		next, err := subscribe(to) // before the old one ends, so that nothing is missed
		_ = stop()                 // of an engine that is gone it fails
		if err != nil {
			return err
		}
		stop = next
	}
}

// subscribe asks for changes until stop is called, which returns when no call of ours runs any
// more.
func subscribe(to *subscriber) (stop func() error, err error) {
	s, err := open()
	if err != nil {
		return nil, err
	}
	var handle uintptr
	conf := place(encodeSubscription())
	r, _, _ := s.subscribe.Call(s.handle, conf.address(), changed(), uintptr(unsafe.Pointer(to)), uintptr(unsafe.Pointer(&handle)))
	runtime.KeepAlive(conf)
	if err := check(s.subscribe, r); err != nil {
		s.end()
		return nil, err
	}
	return func() error {
		defer s.end()
		r, _, _ := s.unsubscribe.Call(s.handle, handle)
		return check(s.unsubscribe, r)
	}, nil
}
