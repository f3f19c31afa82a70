package main

import (
	"errors"
	"path/filepath"
	"testing"

	"hozen/agent/internal/config"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/uplink/journal"
	"hozen/internal/id"
)

func preserving(t *testing.T) *agent {
	t.Helper()
	state := shortDir(t)
	a, err := newAgent(settings{config: config.Default(), state: state, socket: filepath.Join(state, "s"), log: newLog(t.Output(), 0, false)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.close)
	return a
}

// TestManyWishesAreFewCaptures: somebody who does not sit at the PC cannot fill the spool
// by asking without end for the evidence to be kept.
func TestManyWishesAreFewCaptures(t *testing.T) {
	a := preserving(t)
	ask := func(uid string) error {
		return localPower{a}.Preserve(t.Context(), localapi.PreserveOrder{UID: uid, Then: localapi.ThenNothing}, func(localapi.Preserve) {})
	}
	for range alertCaptureBurst {
		if err := ask("65534"); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask("65534"); !errors.Is(err, localapi.ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	if err := ask("0"); err != nil {
		t.Errorf("the administrator: %v", err)
	}
	if n := len(a.spool.List()); n != alertCaptureBurst+1 {
		t.Errorf("%d captures, want %d", n, alertCaptureBurst+1)
	}
}

// TestBrokenOffEvidenceSwitchesNothingOff: an order that an earlier run of the agent did
// not end, perhaps in an earlier boot, does not take the PC down without new evidence.
func TestBrokenOffEvidenceSwitchesNothingOff(t *testing.T) {
	a := preserving(t)
	c := journal.Command{ID: id.New(id.Command), Verb: journal.Preserve, Then: journal.ThenPowerOff, AcquisitionID: id.New(id.Acquisition)}
	begun, err := a.spool.Begin(c.AcquisitionID, []byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := begun.Leave(); err != nil {
		t.Fatal(err)
	}
	if r := (handler{a}).preserve(t.Context(), c); r.Status != journal.Failed || r.Detail == "" {
		t.Errorf("%+v", r)
	}
}
