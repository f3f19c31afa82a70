package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/agent/internal/config"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/uplink"
	"hozen/internal/envelope/unseal"
)

func pointer(b bool) *bool { return &b }

// TestPrivacyScopeIsTheNarrower: neither the organisation nor the PC's file widens what the
// other allows, and the evidence says whose word it was.
func TestPrivacyScopeIsTheNarrower(t *testing.T) {
	yes, no := pointer(true), pointer(false)
	all, nothing := &uplink.TriageScope{Private: true, Histories: true}, &uplink.TriageScope{}
	for _, c := range []struct {
		file config.Triage
		org  *uplink.TriageScope
		want filecopy.Scope
		by   string
	}{
		{config.Triage{}, nil, filecopy.Scope{}, "default"},
		{config.Triage{Private: yes}, nil, filecopy.Scope{Private: true}, "file"},
		{config.Triage{Histories: no}, nil, filecopy.Scope{NoHistories: true}, "file"},
		{config.Triage{}, all, filecopy.Scope{Private: true}, "organisation"},
		{config.Triage{}, nothing, filecopy.Scope{NoHistories: true}, "organisation"},
		{config.Triage{Private: yes, Histories: yes}, nothing, filecopy.Scope{NoHistories: true}, "both"},
		{config.Triage{Private: no, Histories: no}, all, filecopy.Scope{NoHistories: true}, "both"},
		{config.Triage{Private: yes}, all, filecopy.Scope{Private: true}, "both"},
		{config.Triage{Histories: no}, all, filecopy.Scope{Private: true, NoHistories: true}, "both"},
	} {
		if got, by := narrower(c.file, c.org); got != c.want || by != c.by {
			t.Errorf("%+v with %+v: %+v by %s, want %+v by %s", c.file, c.org, got, by, c.want, c.by)
		}
	}
}

// TestWhatTheOrganisationHasSet counts after a restart, and for its own collector alone.
func TestWhatTheOrganisationHasSet(t *testing.T) {
	state, log := t.TempDir(), newLog(t.Output(), 0, false)
	owner := "end_1/ca"
	open := func() *organisation {
		t.Helper()
		o, err := openOrganisation(state, func() string { return owner }, log)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := open()
	if o.wrap() != nil || len(o.keys()) > 0 {
		t.Error("a key that nobody gave")
	}
	key, err := unseal.New()
	if err != nil {
		t.Fatal(err)
	}
	o.hear(uplink.Configure{Recipients: []string{key.Recipient().String()}, Triage: &uplink.TriageScope{Private: true}})
	encrypts := func(o *organisation) bool {
		wrap := o.wrap()
		if wrap == nil {
			return false
		}
		var b bytes.Buffer
		w, err := wrap(&b)
		if err == nil {
			err = w.Close()
		}
		_, oerr := unseal.Open(&b, key)
		return err == nil && oerr == nil
	}
	if scope, by := o.scope(config.Triage{}); !encrypts(o) || !scope.Private || !scope.NoHistories || by != "organisation" {
		t.Errorf("%+v by %s", scope, by)
	}
	kept := func(triage bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; {
			b, err := os.ReadFile(filepath.Join(state, "organisation.json"))
			if err == nil && bytes.Contains(b, []byte("triage")) == triage {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("it is not kept: %s, %v", b, err)
			}
			<-time.After(time.Millisecond)
		}
	}
	kept(true)
	o = open()
	if !encrypts(o) || o.keys()[0] != key.Recipient().Fingerprint().String() {
		t.Error("forgotten after a restart")
	}
	o.hear(uplink.Configure{Recipients: []string{"age1pqnext1of-a-newer-collector"}})
	kept(false)
	if !encrypts(o) {
		t.Error("a key that cannot be read took the place of the one that can")
	}
	owner = "end_2/ca" // enrolled with another collector
	if scope, by := o.scope(config.Triage{}); o.wrap() != nil || scope.Private || by != "default" {
		t.Errorf("another collector's word counts: %+v by %s", scope, by)
	}
	if err := os.WriteFile(filepath.Join(state, "organisation.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err = openOrganisation(state, func() string { return owner }, log)
	if err == nil || o.wrap() != nil {
		t.Errorf("a damaged file: %v", err)
	}
}
