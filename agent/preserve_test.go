package main

import (
	"errors"
	"path/filepath"
	"testing"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/shutdown"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// TestTheDecisionComesFirst: when the time is over early, who decided is on record.
func TestTheDecisionComesFirst(t *testing.T) {
	a := idle(t)
	res, err := a.preserve(t.Context(), record.Preserve{Then: localapi.ThenNothing, Via: "local", DecidedBy: "alice"}, acquire.Order{})
	must(t, err)
	if p := res.Manifest.Probes[0]; p.Kind != artifact.KindPreserve || p.Records != 1 || res.Manifest.Trigger != artifact.TriggerPreserve {
		t.Errorf("%+v", res.Manifest.Probes)
	}
}

// TestNobodyFillsTheSpoolFromTheSeat: who may switch the PC off keeps evidence without
// that as seldom as others; the administrator as often as needed.
func TestNobodyFillsTheSpoolFromTheSeat(t *testing.T) {
	a := idle(t)
	order := func(uid string) error {
		return a.admit(localapi.PreserveOrder{UID: uid, Then: localapi.ThenNothing}, true)
	}
	for range alertCaptureBurst {
		must(t, order("1000"))
	}
	if err := order("1000"); !errors.Is(err, localapi.ErrTooMany) {
		t.Errorf("once more: %v", err)
	}
	if err := order("0"); err != nil {
		t.Errorf("the administrator: %v", err)
	}
	off := localapi.PreserveOrder{UID: "1000", Then: localapi.ThenPowerOff}
	if err := a.admit(off, false); !errors.Is(err, localapi.ErrDenied) {
		t.Errorf("off, from elsewhere: %v", err)
	}
	if err := a.admit(off, true); errors.Is(err, localapi.ErrTooMany) {
		t.Errorf("off, from the seat: %v", err)
	}
}

// TestThePCThatStayedOn: the collector learns of it, also after the order's result.
func TestThePCThatStayedOn(t *testing.T) {
	linuxOnly(t, "logind is asked to switch off")
	a := idle(t) // its power is not started: nobody can be asked to switch this machine off
	a.goDown(t.Context(), journal.Command{ID: "cmd_x", Then: journal.ThenPowerOff, Issuer: "operator"}, journal.Result{Status: journal.Done})
	list := a.journal.Alerts()
	if len(list) != 1 || list[0].Reporter != agentItself || !contains([]byte(list[0].Message), "電源を切れませんでした", "could not be switched off", "operator", "logind") {
		t.Fatalf("%+v", list)
	}
	must(t, a.power.plan.Wait(t.Context()))
	if e := a.power.plan.Noted().GoingDown(); e != nil {
		t.Errorf("the PC still goes down: %+v", e)
	}
}

// idle is an agent that was built and not started.
func idle(t *testing.T) *agent {
	t.Helper()
	state := shortDir(t)
	a, err := newAgent(settings{config: config.Default(), state: state, socket: filepath.Join(state, "s"), log: newLog(t.Output(), 0, false)})
	must(t, err)
	t.Cleanup(a.close)
	return a
}

// TestNothingKeptSwitchesNothingOff: the line of the decision alone is no evidence.
func TestNothingKeptSwitchesNothingOff(t *testing.T) {
	m := artifact.Manifest{Outcome: artifact.Partial, Probes: []artifact.ProbeOutcome{
		{Kind: artifact.KindProcess, Outcome: artifact.Failed},
		{Kind: artifact.KindNetConn, Outcome: artifact.NotStarted},
		{Kind: artifact.KindPreserve, Outcome: artifact.Complete, Records: 1},
	}}
	if !shutdown.Empty(m) {
		t.Error("the decision alone passes for evidence")
	}
	m.Probes[0].Records = 1
	if shutdown.Empty(m) {
		t.Error("processes pass for nothing")
	}
}
