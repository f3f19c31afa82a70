package agentapi_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/agentapi"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/organisation"
	"hozen/internal/capability"
	"hozen/internal/id"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// settings is what an organisation has set.
type settings struct {
	mu  sync.Mutex
	set act.EndpointSettings
	err error
}

func (s *settings) EndpointSettings(context.Context, string) (act.EndpointSettings, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.set, s.err
}

// TestConfigureIsSaidBeforeOrdersAndAtEachChange, to agents that understand it; that it cannot be
// found out keeps no order back.
func TestConfigureIsSaidBeforeOrdersAndAtEachChange(t *testing.T) {
	of := &settings{set: act.EndpointSettings{Recipients: []string{"age1abc"}}}
	r := newRig(t, func(c *agentapi.Config) { c.Settings = of })
	a := r.dial(t, time.Now())
	order := func(counter uint64) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.commands = append(r.commands, dispatch.Command{ID: id.New(id.Command), EndpointID: a.endpointID, Counter: counter, Verb: dispatch.Preserve, Then: dispatch.ThenNothing, IssuedAt: time.Now(), Status: dispatch.Queued})
	}
	order(1)
	s := a.greet(t, capability.Sealed)
	next := func() *agentv1.ConnectResponse {
		t.Helper()
		m, err := s.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := next().GetConfigure(); m == nil || len(m.GetRecipients()) != 1 || m.GetTriage() != nil {
		t.Fatalf("%v", m)
	}
	if m := next(); m.GetAttention() == nil {
		t.Fatalf("%v", m)
	}
	if m := next(); m.GetCommand() == nil {
		t.Fatalf("%v", m)
	}
	of.mu.Lock()
	of.set.Triage = &organisation.Triage{Histories: true}
	of.mu.Unlock()
	r.wakeUp(a.endpointID)
	if m := next().GetConfigure(); m.GetTriage() == nil || m.GetTriage().GetPrivate() || !m.GetTriage().GetHistories() {
		t.Fatalf("%v", m)
	}
	of.mu.Lock()
	of.err = errors.New("the database is away")
	of.mu.Unlock()
	order(2)
	r.wakeUp(a.endpointID)
	if m := next(); m.GetCommand().GetCounter() != 2 {
		t.Fatalf("%v", m)
	}
	of.mu.Lock()
	of.err = nil
	of.mu.Unlock()
	s = r.dial(t, time.Now()).greet(t, capability.Sealed-1)
	if m := next(); m.GetAttention() == nil {
		t.Fatalf("an older agent was told %v", m)
	}
}
