package autostart

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// manager answers as systemd's does, in the form in which the bus decodes it.
type manager struct{}

var errDenied = errors.New("denied")

func (manager) Call(_ context.Context, _ string, path dbus.ObjectPath, method string, _ ...any) ([]any, error) {
	unit := func(name, active, at string) []any {
		return []any{name, "Text of " + name, "loaded", active, "waiting", "", dbus.ObjectPath(at), uint32(0), "", dbus.ObjectPath("/")}
	}
	switch {
	case method == "org.freedesktop.systemd1.Manager.ListUnits":
		return []any{[][]any{unit("z.timer", "active", "/z"), unit("a.timer", "active", "/a"), unit("b.service", "failed", "/b")}}, nil
	case method == "org.freedesktop.systemd1.Manager.ListUnitFiles":
		return []any{[][]any{{"/etc/systemd/system/a.timer", "enabled"}}}, nil
	case path == "/b":
		return []any{map[string]dbus.Variant{"NextElapseUSecRealtime": dbus.MakeVariant(uint64(0)), "NextElapseUSecMonotonic": dbus.MakeVariant(uint64(1 << 50))}}, nil
	case path == "/a":
		return []any{map[string]dbus.Variant{
			"NextElapseUSecRealtime": dbus.MakeVariant(uint64(1766400000000000)), "LastTriggerUSec": dbus.MakeVariant(uint64(0)), "Unit": dbus.MakeVariant("a.service"),
		}}, nil
	}
	return nil, errDenied
}

func TestManager(t *testing.T) {
	var l probetest.Lines
	p := facts.New(facts.Config{OS: "linux", Read: func(ctx context.Context, o *facts.Out) error { return ask(ctx, manager{}, o) }})
	if err := p.Acquire(t.Context(), &l); probe.AsMissing(err) == nil || !errors.Is(err, errDenied) {
		t.Errorf("one timer is denied: %v", err)
	}
	var got []record.StartUnit
	for _, b := range l.All {
		var u record.StartUnit
		if err := json.Unmarshal(b, &u); err != nil {
			t.Fatal(err)
		}
		got = append(got, u)
	}
	if len(got) != 3 || got[0].Name != "a.timer" || got[0].Next.Unix() != 1766400000 || got[0].Starts != "a.service" || got[0].FileState != "enabled" || !got[0].Last.IsZero() {
		t.Fatalf("%+v", got)
	}
	var late record.StartUnit
	if err := timer(t.Context(), manager{}, "/b", &late); err != nil || time.Until(late.Next) < 24*time.Hour {
		t.Errorf("%v, %v", late.Next, err)
	}
	if got[1].Active != "failed" || got[2].Name != "z.timer" || got[2].Starts != "" {
		t.Errorf("%+v", got)
	}
}
