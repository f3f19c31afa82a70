package entry_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozen/agent/internal/recorder/entry"
)

// The base of all payloads of these tests.
const base = int64(5_000_000_000_000)

// anyEvent fills every field from r; a field that this does not know fails the test,
// so that a new one cannot be forgotten.
func anyEvent(t *testing.T, r *rand.Rand) entry.Event {
	t.Helper()
	var e entry.Event
	v := reflect.ValueOf(&e).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Interface().(type) {
		case netip.AddrPort:
			ip := netip.AddrFrom4([4]byte{10, 0, byte(r.Uint32()), 1})
			if r.IntN(2) == 0 {
				ip = netip.AddrFrom16([16]byte{0xfe, 0x80, 15: byte(r.Uint32())})
			}
			f.Set(reflect.ValueOf(netip.AddrPortFrom(ip, uint16(r.Uint32()))))
			continue
		}
		switch f.Kind() {
		case reflect.Uint8, reflect.Uint32, reflect.Uint64:
			f.SetUint(1 + r.Uint64()>>(64-min(uint(f.Type().Bits()), 63)+1))
		case reflect.Int, reflect.Int64:
			f.SetInt(1 + r.Int64N(1<<40))
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Slice:
			f.SetBytes(bytes.Repeat([]byte{byte(r.Uint32()), 0, 0xff}, 1+r.IntN(20)))
		case reflect.String:
			f.SetString("shutdown")
		default:
			t.Fatalf("field %s of kind %s", v.Type().Field(i).Name, f.Kind())
		}
	}
	return e
}

func read(t *testing.T, payload []byte) (all []entry.Event) {
	t.Helper()
	for e, err := range entry.Events(payload, base) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	return all
}

var same = cmp.Options{cmpopts.EquateEmpty(), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })}

func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	want := []entry.Event{{Type: entry.Heartbeat, UID: -1, EUID: -1}, {Type: entry.ProcessEnded, UID: -1, EUID: -1, HasStatus: true}}
	for range 200 {
		want = append(want, anyEvent(t, r))
	}
	var payload []byte
	for i := range want {
		payload = entry.Append(payload, base, &want[i])
	}
	if diff := cmp.Diff(want, read(t, payload), same); diff != "" {
		t.Fatalf("written (-), read (+):\n%s", diff)
	}
}

func TestLongTextsAreCutAndSaySo(t *testing.T) {
	e := entry.Event{Type: entry.ProcessStarted, Cmdline: bytes.Repeat([]byte("x"), 1<<20), Exe: bytes.Repeat([]byte("y"), 1<<20), Detail: bytes.Repeat([]byte("z"), 1<<20)}
	payload := entry.Append(nil, base, &e)
	if len(payload) > entry.MaxPayload/2 {
		t.Fatalf("one event takes %d bytes", len(payload))
	}
	got := read(t, payload)[0]
	if len(got.Cmdline) != entry.MaxCmdline || !got.CmdlineCut || len(got.Exe) != entry.MaxPath || len(got.Detail) != entry.MaxMark {
		t.Errorf("%d, %t, %d, %d", len(got.Cmdline), got.CmdlineCut, len(got.Exe), len(got.Detail))
	}
}

// A newer program may write what this one does not know.
func TestUnknownFieldsAreSteppedOver(t *testing.T) {
	payload := []byte{8, 200 /* type */, 4 << 1, 7 /* pid */, 99 << 1, 5, 98<<1 | 1, 1, 'x', 3, byte(entry.ProcessEnded), 4 << 1, 8}
	want := []entry.Event{{Type: 200, PID: 7, UID: -1, EUID: -1}, {Type: entry.ProcessEnded, PID: 8, UID: -1, EUID: -1}}
	if diff := cmp.Diff(want, read(t, payload), same); diff != "" {
		t.Fatal(diff)
	}
}

func TestOrdinaryEventsAreSmall(t *testing.T) {
	fork := entry.Event{Type: entry.ProcessStarted, Source: entry.SourceConnector, How: entry.HowFork, BootNS: base - 2e8, PID: 123456, PPID: 1234, UID: -1, EUID: -1}
	exit := entry.Event{Type: entry.ProcessEnded, Source: entry.SourceConnector, BootNS: base - 1e8, PID: 123456, PPID: 1234, UID: -1, EUID: -1, HasStatus: true}
	if a, b := len(entry.Append(nil, base, &fork)), len(entry.Append(nil, base, &exit)); a > 32 || b > 32 {
		t.Errorf("a fork takes %d bytes, an exit %d", a, b)
	}
}

// What the disk cut short is said to be damaged; whole events before are read.
func TestCutPayloadsAreDamaged(t *testing.T) {
	first := entry.Event{Type: entry.Mark, Name: "first"}
	second := entry.Event{Type: entry.ProcessStarted, PID: 1 << 20, Exe: []byte("/sbin/init"), Local: netip.MustParseAddrPort("[::1]:22")}
	payload := entry.Append(nil, base, &first)
	one := len(payload)
	payload = entry.Append(payload, base, &second)
	for n := one + 1; n < len(payload); n++ {
		whole := 0
		var last error
		for _, err := range entry.Events(payload[:n:n], base) {
			if last = err; err == nil {
				whole++
			}
		}
		if whole != 1 || !errors.Is(last, entry.ErrDamaged) {
			t.Errorf("%d of %d bytes: %d events, %v", n, len(payload), whole, last)
		}
	}
	// A field that says it is longer than its event.
	for _, bad := range [][]byte{{4, 17, 33<<1 | 1, 2, 'x'}, {4, 17, 4 << 1, 0x80, 0x80}, {3, 17, 18<<1 | 1, 0}, {5, 17, 18<<1 | 1, 2, 1, 1}} {
		for _, err := range entry.Events(bad, base) {
			if !errors.Is(err, entry.ErrDamaged) {
				t.Errorf("%v: %v", bad, err)
			}
		}
	}
}

// FuzzEvents: whatever stands on the disk, reading ends, and what was read can be
// written again and says the same.
func FuzzEvents(f *testing.F) {
	e := entry.Event{Type: entry.ProcessStarted, PID: 1, Exe: []byte("/sbin/init"), Local: netip.MustParseAddrPort("[::1]:22")}
	f.Add(entry.Append(nil, base, &e))
	f.Add([]byte{2, 1, 3})
	f.Add([]byte{0x80, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, payload []byte) {
		for e, err := range entry.Events(payload, base) {
			if err != nil {
				if !errors.Is(err, entry.ErrDamaged) {
					t.Fatal(err)
				}
				return
			}
			if len(e.Exe) > entry.MaxPath || len(e.Cmdline) > entry.MaxCmdline || len(e.Comm) > entry.MaxPath || len(e.Detail) > entry.MaxMark || len(e.Name) > entry.MaxPath {
				continue // not ours: would be cut
			}
			again := read(t, entry.Append(nil, base, &e))
			if len(again) != 1 || !reflect.DeepEqual(again[0], e) && cmp.Diff(e, again[0], same) != "" {
				t.Fatalf("%+v became %+v", e, again)
			}
		}
	})
}
