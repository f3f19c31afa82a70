package act_test

import (
	"context"
	"errors"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// tie asks where an acquisition belongs, in a transaction as the intake does.
func (x *fixture) tie(p pc, m artifact.Manifest) evidence.Tied {
	x.t.Helper()
	var tied evidence.Tied
	err := x.db.Tx(x.t.Context(), func(ctx context.Context, tx *sqldb.Tx) (err error) {
		tied, err = x.Tie(ctx, tx, p.id, &m)
		return err
	})
	if err != nil {
		x.t.Fatal(err)
	}
	return tied
}

func TestEvidenceIsTiedByCommandThenAlertThenEndpoint(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, other := x.enrolled("pc"), x.enrolled("other")
		if got := x.tie(p, artifact.Manifest{}); got.IncidentID != "" || got.OrganisationID == "" {
			t.Errorf("without an incident: %+v", got)
		}
		cmd, err := x.Acquire(ctx, x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		newer, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "newer", EndpointIDs: []string{p.id, other.id}})
		if err != nil {
			t.Fatal(err)
		}
		if got := x.tie(p, artifact.Manifest{CommandID: cmd.ID}); got.IncidentID != cmd.IncidentID || got.IncidentNumber == "" {
			t.Errorf("by command: %+v", got)
		}
		if got := x.tie(p, artifact.Manifest{}); got.IncidentID != newer.ID {
			t.Errorf("by endpoint: %+v", got)
		}
		if got := x.tie(other, artifact.Manifest{CommandID: cmd.ID}); got.IncidentID != newer.ID {
			t.Errorf("another endpoint's command was believed: %+v", got)
		}

		// The evidence of an alert may arrive before the alert itself.
		alert := id.New(id.Alert)
		first := x.tie(p, artifact.Manifest{AlertID: alert})
		if second := x.tie(p, artifact.Manifest{AlertID: alert}); second != first || first.IncidentID == "" {
			t.Errorf("%+v, then %+v", first, second)
		}
		for range 2 {
			inc, err := x.ReportTrouble(ctx, p.id, act.AlertCall{AlertID: alert, Message: "変な画面"})
			if err != nil || inc.ID != first.IncidentID {
				t.Errorf("%+v, %v", inc, err)
			}
		}
		if got := x.kinds(first.IncidentID); got != "opened alert" {
			t.Errorf("timeline: %s", got)
		}
		x.ledgerStands()
	})
}

func TestAcceptedAndRefusedEvidenceIsInTheTimeline(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		if err != nil {
			t.Fatal(err)
		}
		e, err := x.Endpoint(ctx, x.owner, p.id)
		if err != nil {
			t.Fatal(err)
		}
		a := evidence.Acquisition{ID: id.New(id.Acquisition), OrganisationID: e.OrganisationID, EndpointID: p.id, IncidentID: inc.ID,
			Outcome: artifact.Complete, ReceivedAt: x.clock, LedgerIdx: 3}
		if err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return x.OnAccepted(ctx, tx, a, []evidence.Item{{Number: "INC-2026-0001-E01"}, {Number: "INC-2026-0001-E02"}})
		}); err != nil {
			t.Fatal(err)
		}
		if err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			return x.OnRefused(ctx, tx, evidence.Refused{EndpointID: p.id, AcquisitionID: "acq_x", At: x.clock,
				Refusal: evidence.Refusal{Code: evidence.DigestMismatch, Part: "artifacts/process.jsonl.zst"}})
		}); err != nil {
			t.Fatal(err)
		}
		list, err := x.Timeline(ctx, x.owner, inc.ID)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range list {
			got = append(got, string(l.Kind)+" "+l.Params["first"]+l.Params["part"])
		}
		want := []string{"opened ", "evidence INC-2026-0001-E01", "joined ", "refused artifacts/process.jsonl.zst"}
		if len(got) != len(want) {
			t.Fatalf("%q, want %q", got, want)
		}
		seen := map[string]bool{}
		for _, g := range got {
			seen[g] = true
		}
		for _, w := range want {
			if !seen[w] {
				t.Errorf("no %q in %q", w, got)
			}
		}
		if got := x.acts("acq_x"); len(got) != 1 || got[0] != "evidence.refuse" {
			t.Errorf("%q", got)
		}
		x.ledgerStands()
	})
}

func TestSignerKeyIsOnlyOfTheEndpointsOwnCertificates(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, other := x.enrolled("pc"), x.enrolled("other")
		if key, err := x.SignerKey(ctx, p.id, p.cert); err != nil || key == nil {
			t.Errorf("%v", err)
		}
		for name, der := range map[string][]byte{"another's": other.cert, "cut off": p.cert[:50], "the CA's": x.ca.Certificate().Raw} {
			if _, err := x.SignerKey(ctx, p.id, der); !errors.Is(err, evidence.ErrNotIssued) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}
