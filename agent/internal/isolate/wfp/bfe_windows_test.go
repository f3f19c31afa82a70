package wfp

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// fake makes these tests ones of the stand-in for fwpuclnt.dll, with files of their own: the
// true engine of somebody's PC is not for tests.
func fake(t *testing.T) (dir string) {
	t.Helper()
	if windows.NewLazySystemDLL("fwpuclnt.dll").NewProc("HozenFakeBFE").Find() != nil {
		t.Skip("fwpuclnt.dll is not the stand-in of testdata/fakebfe")
	}
	dir = t.TempDir()
	t.Setenv("HOZEN_FAKEBFE", dir)
	return dir
}

func system(t *testing.T) *Firewall {
	t.Helper()
	return New(Config{})
}

func TestStandInKeepsTheContract(t *testing.T) {
	fake(t)
	isolatetest.Run(t, func(t *testing.T) isolate.Firewall {
		t.Setenv("HOZEN_FAKEBFE", t.TempDir())
		return system(t)
	})
}

// call is one line of the stand-in's log.
type call struct {
	Call       string
	Code       uint32
	Key, Name  string
	Flags      uint32
	Provider   string
	Layer      string
	Sublayer   string
	Service    string
	Action     uint32
	Weight     json.RawMessage
	Conditions []struct {
		Field string
		Match uint32
		Type  uint32
		Value string
	}
}

func calls(t *testing.T, dir string) (out []call) {
	t.Helper()
	f, err := os.Open(filepath.Join(dir, "calls"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c call
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		out = append(out, c)
	}
	return out
}

// payload is how the stand-in writes down a value.
func (v value) payload() string {
	le := binary.LittleEndian
	switch v.kind {
	case typeArray, typeBlob, typeSD:
		return hex.EncodeToString(v.bytes)
	case typeMask4:
		return hex.EncodeToString(le.AppendUint32(le.AppendUint32(nil, uint32(v.number)), ^uint32(0)<<(32-v.bits)))
	case typeMask6:
		return hex.EncodeToString(append(append([]byte(nil), v.bytes...), byte(v.bits)))
	case typeRange:
		return hex.EncodeToString(le.AppendUint16(le.AppendUint16(nil, uint16(v.low.number)), uint16(v.high.number)))
	}
	return hex.EncodeToString(le.AppendUint64(nil, v.number))
}

// What a program that is compiled with the platform's headers reads is what was meant,
// field by field, and it refuses nothing.
func TestStandInReadsWhatWasMeant(t *testing.T) {
	for name, p := range map[string]isolate.Policy{"standard": isolatetest.PolicyA(), "selective": isolatetest.PolicyC(), "tunnels": isolatetest.PolicyD(), "full": isolatetest.PolicyFull()} {
		t.Run(name, func(t *testing.T) {
			dir := fake(t)
			f := system(t)
			if err := f.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if o, err := f.Observe(t.Context(), &p); err != nil || !o.Complete {
				t.Fatalf("%+v, %v", o, err)
			}
			want, err := f.plan(p)
			if err != nil {
				t.Fatal(err)
			}
			byKey := map[string]filter{}
			for _, w := range want.filters {
				byKey[w.key.String()] = w
			}
			count := map[string]int{}
			for _, c := range calls(t, dir) {
				count[c.Call]++
				// Before they are there.
				absent := c.Call == "get provider" && c.Code == 0x80320005 || c.Call == "get filter" && c.Code == 0x80320003
				if c.Code != 0 && !absent {
					t.Errorf("refused: %+v", c)
				}
				switch c.Call {
				case "add provider":
					if c.Key != ProviderKey.String() || c.Flags != objectPersistent || c.Service != "" {
						t.Errorf("%+v", c)
					}
				case "add sublayer":
					if c.Key != SublayerKey.String() || c.Flags != objectPersistent || c.Provider != ProviderKey.String() || string(c.Weight) != "65535" {
						t.Errorf("%+v", c)
					}
				case "add filter":
					w, ok := byKey[c.Key]
					if !ok || c.Name != w.name && !strings.ContainsAny(w.name, `"\`) || c.Flags != w.flags || c.Provider != ProviderKey.String() ||
						c.Layer != w.layer.String() || c.Sublayer != SublayerKey.String() || c.Action != w.action ||
						string(c.Weight) != `{"type":1,"value":"`+w.weight.payload()+`"}` || len(c.Conditions) != len(w.conditions) {
						t.Errorf("read %+v\nmeant %s", c, w)
						continue
					}
					for i, k := range c.Conditions {
						if m := w.conditions[i]; k.Field != m.field.String() || k.Match != m.match || k.Type != m.value.kind || k.Value != m.value.payload() {
							t.Errorf("%s: read %+v\nmeant %s", w.name, k, m)
						}
					}
				}
			}
			if count["add filter"] != len(want.filters) || count["commit"] != 2 || count["abort"] != 0 {
				t.Errorf("%v for %d filters", count, len(want.filters))
			}
			t.Logf("%d filters, %v", len(want.filters), count)
		})
	}
}

// The stand-in refuses what the engine would; else that it refused nothing says little.
func TestStandInRefusesMisuse(t *testing.T) {
	fake(t)
	good := plan(isolatetest.PolicyA(), who{app: bytes16(`\device\x`), sid: serviceSID("hozen-agent")})
	pick := func(what string) filter {
		for _, f := range good.filters {
			if strings.Contains(f.name, what) {
				return f
			}
		}
		t.Fatal(what)
		return filter{}
	}
	with := func(change func(*filter)) filter {
		f := pick("block all connect4")
		change(&f)
		return f
	}
	code := func(n uint32, what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), hexCode(n)) {
			t.Errorf("%s: %v, want %s", what, err, hexCode(n))
		}
	}
	s, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer s.end()
	r, _, _ := s.commit.Call(s.handle)
	code(0x8032000d, "commit of nothing", check(s.commit, r))
	r, _, _ = s.abort.Call(s.handle)
	code(0x8032000d, "abort of nothing", check(s.abort, r))
	code(0x80320007, "filter without its sublayer", s.AddFilter(pick("block all connect4")))
	code(0x80320005, "sublayer without its provider", s.AddSublayer(*good.ownSublayer()))
	for _, err := range []error{s.AddProvider(*good.provider), s.AddSublayer(*good.ownSublayer()), s.AddFilter(pick("block all connect4"))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.AddFilter(pick("block all connect4")); !errors.Is(err, errExists) {
		t.Errorf("twice: %v", err)
	}
	if err := s.Delete(sublayerObject, SublayerKey); !errors.Is(err, errInUse) {
		t.Errorf("sublayer with filters: %v", err)
	}
	if err := s.Delete(providerObject, ProviderKey); !errors.Is(err, errInUse) {
		t.Errorf("provider with filters: %v", err)
	}
	if err := s.Delete(filterObject, filterKey("nothing")); !errors.Is(err, errMissing) {
		t.Errorf("no such filter: %v", err)
	}
	fresh := func(f *filter) { f.key = filterKey("fresh") }
	for name, c := range map[string]struct {
		code uint32
		f    filter
	}{
		"persistent and for the start": {0x8032001e, with(func(f *filter) { fresh(f); f.flags |= filterBootTime })},
		"unknown flag":                 {0x8032001e, with(func(f *filter) { fresh(f); f.flags |= 0x8000 })},
		"unknown layer":                {0x80320004, with(func(f *filter) { fresh(f); f.layer = filterKey("x") })},
		"unknown field":                {0x80320002, with(func(f *filter) { fresh(f); f.conditions = []condition{{filterKey("x"), 0, u8(1)}} })},
		"weight of 16":                 {0x80320025, with(func(f *filter) { fresh(f); f.weight = u8(16) })},
		"weight of 16 bits":            {0x80320025, with(func(f *filter) { fresh(f); f.weight = u16(1) })},
		"protocol of 16 bits":          {0x80320027, with(func(f *filter) { fresh(f); f.conditions = []condition{{fieldProtocol, 0, u16(6)}} })},
		"IPv6 address at IPv4":         {0x80320027, with(func(f *filter) { fresh(f); f.conditions = []condition{remote(linkLocal6)} })},
		"range without its match": {0x80320026, with(func(f *filter) {
			fresh(f)
			c := ports(fieldRemotePort, 1, 2)
			c.match = 0
			f.conditions = []condition{c}
		})},
		"range backwards": {0x80320020, with(func(f *filter) { fresh(f); f.conditions = []condition{ports(fieldRemotePort, 2, 1)} })},
		"the same twice":  {0x8032002a, with(func(f *filter) { fresh(f); f.conditions = []condition{protocol(6), protocol(6)} })},
		"no known action": {0x80320024, with(func(f *filter) { fresh(f); f.action = 7 })},
		"damaged descriptor": {0x53a, with(func(f *filter) {
			fresh(f)
			f.conditions = []condition{{fieldUser, 0, value{kind: typeSD, bytes: []byte{9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}}}}
		})},
	} {
		code(c.code, name, s.AddFilter(c.f))
	}
	r, _, _ = s.begin.Call(s.handle, transactionReading)
	if err := check(s.begin, r); err != nil {
		t.Fatal(err)
	}
	code(0x80320011, "writing while reading", s.AddFilter(with(fresh)))
	r, _, _ = s.begin.Call(s.handle, 0)
	code(0x8032000e, "a second transaction", check(s.begin, r))
	r, _, _ = s.abort.Call(s.handle)
	if err := check(s.abort, r); err != nil {
		t.Fatal(err)
	}
	// What a transaction that is aborted did is gone.
	stop := errors.New("stop")
	err = bfe{}.Transact(t.Context(), false, func(t transaction) error { return errors.Join(t.AddFilter(with(fresh)), stop) })
	if have, rerr := s.Read(nil); !errors.Is(err, stop) || rerr != nil || len(have.filters) != 1 {
		t.Errorf("%v, %v: %d filters", err, rerr, len(have.filters))
	}
}

func hexCode(n uint32) string {
	return "0x" + strings.TrimLeft(hex.EncodeToString(binary.BigEndian.AppendUint32(nil, n)), "0") + ":"
}

// What one process put in force another finds, and takes away by the keys alone.
func TestStandInKeepsFiltersForOtherProcesses(t *testing.T) {
	const child = "HOZEN_WFP_CHILD"
	if os.Getenv(child) != "" {
		if err := system(t).Apply(t.Context(), isolatetest.PolicyC()); err != nil {
			t.Fatal(err)
		}
		return
	}
	fake(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestStandInKeepsFiltersForOtherProcesses$", "-test.v")
	cmd.Env = append(os.Environ(), child+"=1")
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Fatalf("%v\n%s", err, out)
	}
	f := system(t)
	p := isolatetest.PolicyC()
	if o, err := f.Observe(t.Context(), &p); err != nil || !o.Complete {
		t.Fatalf("%+v, %v", o, err)
	}
	listsOurs(t)
	if err := f.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := f.Observe(t.Context(), nil); err != nil || o.Present {
		t.Fatalf("%+v, %v", o, err)
	}
	if list, unread, err := Filters(t.Context()); len(list)+unread > 0 || err != nil {
		t.Errorf("%+v, %d, %v", list, unread, err)
	}
}

// listsOurs: whoever lists all filters sees ours as they are.
func listsOurs(t *testing.T) {
	t.Helper()
	list, unread, err := Filters(t.Context())
	if err != nil || unread > 0 {
		t.Fatal(unread, err)
	}
	blocks := map[string]bool{}
	for _, x := range list {
		if x.Sublayer != SublayerKey.String() || x.SublayerWeight != sublayerWeight || x.Provider != ProviderKey.String() {
			t.Errorf("%+v", x)
		}
		if x.Action == "block" && len(x.Conditions) == 0 && slices.Contains(x.Flags, "persistent") {
			blocks[x.Layer] = true
		}
	}
	if len(blocks) != len(layers) {
		t.Errorf("everything is blocked at %v", blocks)
	}
}

// Where no list has the filters of the start, they are found by their keys.
func TestStandInHidesFiltersOfTheStart(t *testing.T) {
	fake(t)
	t.Setenv("HOZEN_FAKEBFE_SHY", "1")
	p := isolatetest.PolicyD()
	if err := system(t).Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if o, err := system(t).Observe(t.Context(), &p); err != nil || !o.Complete {
		t.Fatalf("%+v, %v", o, err)
	}
	if err := system(t).Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o, err := system(t).Observe(t.Context(), nil); err != nil || o.Present {
		t.Fatalf("%+v, %v", o, err)
	}
}

// The engine's thread calls back, and what it tells becomes an event.
func TestStandInTellsOfChanges(t *testing.T) {
	fake(t)
	p := isolatetest.PolicyA()
	f := system(t)
	if err := f.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	events, err := f.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	<-events // watching has begun
	began := time.Now()
	other, err := open()
	if err != nil {
		t.Fatal(err)
	}
	defer other.end()
	f.mu.Lock()
	clear(f.mine) // what follows is another's work
	f.mu.Unlock()
	if err := other.Delete(filterObject, filterKey("block all connect4")); err != nil {
		t.Fatal(err)
	}
	var e isolate.Event
	select {
	case e = <-events:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing is told")
	}
	if !e.Rules || len(e.What) != 1 || !strings.Contains(e.What[0], "block all connect4") {
		t.Errorf("%+v", e)
	}
	if err := f.Apply(ctx, p); err != nil {
		t.Fatal(err)
	}
	if o, err := f.Observe(ctx, &p); err != nil || !o.Complete {
		t.Errorf("%+v, %v", o, err)
	}
	t.Logf("in force again after %v", time.Since(began))
	stop()
	for range events {
	}
}
