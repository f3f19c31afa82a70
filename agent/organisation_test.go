package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/klauspost/compress/zstd"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/envelope/unseal"
	"hozen/internal/profile"
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
	if c := o.now(config.Triage{}); !encrypts(o) || !c.scope.Private || !c.scope.NoHistories || c.by != "organisation" {
		t.Errorf("%+v by %s", c.scope, c.by)
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
	quantum := postQuantum(t)
	o.hear(uplink.Configure{Recipients: []string{key.Recipient().String(), quantum}})
	if !encrypts(o) {
		t.Error("keys that cannot be used together took the place of the one that can")
	}
	o.hear(uplink.Configure{Recipients: []string{quantum}})
	if wrap := o.wrap(); wrap == nil {
		t.Error("a post-quantum key is none")
	} else if _, err := wrap(io.Discard); err != nil {
		t.Error(err)
	}
	o.hear(uplink.Configure{Recipients: []string{key.Recipient().String()}})
	owner = "end_2/ca" // enrolled with another collector
	if c := o.now(config.Triage{}); o.wrap() != nil || c.scope.Private || c.by != "default" {
		t.Errorf("another collector's word counts: %+v by %s", c.scope, c.by)
	}
	o.hear(uplink.Configure{Recipients: []string{"age1pqnext1of-a-newer-collector"}})
	if o.wrap() != nil || len(o.keys()) > 0 {
		t.Error("evidence of one collector's endpoint is encrypted to the key of another")
	}
	o.keeping.Wait() // nothing is written over what follows
	if err := os.WriteFile(filepath.Join(state, "organisation.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err = openOrganisation(state, func() string { return owner }, log)
	if err == nil || o.wrap() != nil {
		t.Errorf("a damaged file: %v", err)
	}
}

func postQuantum(t *testing.T) string {
	t.Helper()
	key, err := age.GenerateHybridIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return key.Recipient().String()
}

// TestFootprintTellsWhatWasUsed: what the organisation sets while an acquisition is under way is
// not what it was made under, and the signed word on it is of what it was made under.
func TestFootprintTellsWhatWasUsed(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	state, log := t.TempDir(), newLog(t.Output(), 0, false)
	o, err := openOrganisation(state, func() string { return "end_1/ca" }, log)
	must(err)
	first, err := unseal.New()
	must(err)
	later, err := unseal.New()
	must(err)
	o.hear(uplink.Configure{Recipients: []string{first.Recipient().String()}, Triage: &uplink.TriageScope{Private: true}})
	changes := func() {
		o.hear(uplink.Configure{Recipients: []string{later.Recipient().String()}, Triage: &uplink.TriageScope{Histories: true}})
	}
	dir := filepath.Join(state, "spool")
	s, err := spool.Open(spool.Config{Dir: dir, MinFreeBytes: -1, Wrap: o.wrap})
	must(err)
	defer s.Close()
	defer o.keeping.Wait()
	res, err := acquire.NewRunner(acquire.Config{
		Sink: s, Log: log,
		Plan: func(name string) (acquire.Plan, error) {
			plan, err := newProfiles().within(config.Triage{}, o, "").plan(name)
			plan.Probes = slices.DeleteFunc(plan.Probes, func(p acquire.Planned) bool { return p.New().Kind() != artifact.KindFootprint })
			return plan, err
		},
		Identity: func() (acquire.Identity, error) { // between plan and beginning
			changes()
			s, err := identity.NewOneTime()
			return acquire.Identity{Signer: s}, err
		},
	}).Run(t.Context(), acquire.Order{Profile: profile.Triage, Trigger: artifact.TriggerCommand})
	must(err)
	if len(res.Manifest.Artifacts) != 1 {
		t.Skip("this system has no such probe yet")
	}
	f, err := os.Open(filepath.Join(dir, res.AcquisitionID, filepath.FromSlash(res.Manifest.Artifacts[0].Name)+".age"))
	must(err)
	defer f.Close()
	clear, err := unseal.Open(f, first)
	must(err)
	z, err := zstd.NewReader(clear)
	must(err)
	defer z.Close()
	b, err := io.ReadAll(z)
	must(err)
	var got record.Footprint
	must(json.Unmarshal(b, &got))
	if got.Spool != "age" || !slices.Equal(got.SpoolKeys, []string{first.Recipient().Fingerprint().String()}) || got.ScopeBy != "organisation" || !got.ScopePrivate || got.ScopeHistories {
		t.Errorf("%s", b)
	}
}
