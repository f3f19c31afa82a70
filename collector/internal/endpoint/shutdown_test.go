package endpoint_test

import (
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/internal/artifact/record"
)

func aShutdown() record.Shutdown {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	return record.Shutdown{Reason: record.ReasonDown, AllowedNS: 5e9, HoldNS: 5e8, Notices: []record.ShutdownNotice{
		{At: at, Event: "scheduled", Source: "logind", Type: "reboot", ByUID: 1},
		{At: at, Event: "cancelled", Source: "logind", ByUID: -1},
		{At: at, Event: "down", Source: "logind", Type: "poweroff", ByUID: 1000, ByTTY: "tty2"},
		{At: at, Event: "down", Source: "companion", ByUID: -1},
	}}
}

func TestReadShutdownReadsWhatTheAgentWrites(t *testing.T) {
	r := aShutdown()
	s, ok := endpoint.ReadShutdown(r.AppendJSON(nil))
	want := endpoint.Shutdown{Reason: "down", Source: "logind", Type: "poweroff", ByTTY: "tty2", ByUID: 1000, Allowed: 5 * time.Second, Hold: 500 * time.Millisecond}
	if !ok || s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
	r.Notices = r.Notices[3:]
	if s, ok := endpoint.ReadShutdown(r.AppendJSON(nil)); !ok || s.Source != "companion" || s.Type != "" || s.ByUID != -1 {
		t.Errorf("%+v", s)
	}
	for _, in := range []string{"", "null", "[]", "{}", `{"reason":7}`, `{"reason":"down","notices":7,"allowed_ns":-1}`, `{"reason":"x","notices":[1,{},{"event":"down"}]}`} {
		if s, _ := endpoint.ReadShutdown([]byte(in)); s.ByUID != -1 || s.Allowed != -1 || s.Type != "" {
			t.Errorf("%q: %+v", in, s)
		}
	}
}

func FuzzReadShutdown(f *testing.F) {
	r := aShutdown()
	f.Add(r.AppendJSON(nil))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, _ := endpoint.ReadShutdown(line)
		if len(s.Reason) > 64 || len(s.Source) > 64 || len(s.Type) > 64 || len(s.ByTTY) > 64 || s.ByUID < -1 || s.Allowed < -1 || s.Hold < -1 {
			t.Fatalf("%+v", s)
		}
	})
}
