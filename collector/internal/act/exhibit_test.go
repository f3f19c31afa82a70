package act_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
)

// custody returns the custody of the office's incident.
func (o *office) custody() act.Custody {
	o.t.Helper()
	c, err := o.Custody(o.t.Context(), o.owner, o.incident)
	ok(o.t, err)
	return c
}

func (o *office) exhibit(short string) act.Exhibit {
	o.t.Helper()
	x, _, err := o.Exhibit(o.t.Context(), o.owner, o.incident+"-"+short)
	ok(o.t, err)
	return x
}

// types are the events of an exhibit in short.
func types(events []exhibit.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Type))
	}
	return strings.Join(all, " ")
}

// fsckCodes are what a check of everything finds.
func (o *office) fsckCodes() []string {
	o.t.Helper()
	r, err := o.Fsck(o.t.Context(), o.owner, nil, nil)
	ok(o.t, err)
	var codes []string
	for _, p := range r.Problems {
		codes = append(codes, string(p.Code))
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

func TestAcceptedEvidenceIsAnExhibit(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		first := o.keiri.send("flash", captured())
		o.sales.send("volatile", captured())
		c := o.custody()
		if len(c.Items) != 2 || c.Items[0].Number != o.incident+"-E01" || c.Items[1].Number != o.incident+"-E02" || c.Held || c.Days != 0 {
			t.Fatalf("%+v", c)
		}
		e := c.Items[0]
		if e.AcquisitionID != first || e.Kind != exhibit.Volatile || e.Get(exhibit.Host) != "経理PC-01" || e.Get(exhibit.AcquiredByOrg) != "組織" || e.Get(exhibit.Description) != "flash" {
			t.Errorf("%+v", e.Item)
		}
		if types(e.Events) != "collect receive" || e.Trail.Holder != (exhibit.Party{Organisation: "組織"}) || len(e.Trail.Gaps) != 0 {
			t.Errorf("%q %+v", types(e.Events), e.Trail)
		}
		if got := e.Events[0]; got.Clock != exhibit.ClockEndpoint || got.To.Person != "経理PC-01" || !got.At.Equal(x.clock.Add(-time.Minute)) {
			t.Errorf("%+v", got)
		}
		items, err := o.AcquisitionItems(t.Context(), o.owner, first)
		ok(t, err)
		if items[0].Number != o.incident+"-E01-01" || items[len(items)-1].Number != fmt.Sprintf("%s-E01-%02d", o.incident, len(items)) {
			t.Errorf("%s … %s", items[0].Number, items[len(items)-1].Number)
		}
		// Looking, copying, packing and checking each leave their line.
		_, r, err := o.OpenEvidence(t.Context(), o.owner, items[0].ID, act.ToView)
		ok(t, err)
		ok(t, r.Close())
		_, r, err = o.OpenEvidence(t.Context(), o.owner, items[0].ID, act.ToDownload)
		ok(t, err)
		ok(t, r.Close())
		o.write(o.order(act.NewExport{Hosts: []string{o.keiri.endpoint.ID}}))
		v, err := o.VerifyExhibit(t.Context(), o.owner, o.incident+"-E01", "公判の前")
		ok(t, err)
		if v.Files != len(items) || len(v.Wrong) != 0 || v.Event.Result != exhibit.ResultMatch || v.Event.HashAfter != v.Event.HashBefore || v.Event.HashAfter == "" {
			t.Errorf("%+v", v)
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		if got := types(o.exhibit("E01").Events); got != "collect receive view copy export verify verify" {
			t.Errorf("%q", got)
		}
		if got := types(o.exhibit("E02").Events); got != "collect receive verify" {
			t.Errorf("%q", got)
		}
		if codes := o.fsckCodes(); len(codes) != 0 { // of the lines that the first one wrote too
			t.Errorf("%q", codes)
		}
	})
}

func TestThingsAreRegisteredAndDescribed(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ctx := t.Context()
		i, err := o.AddExhibit(ctx, o.owner, act.NewExhibit{IncidentID: o.incident, Kind: exhibit.Device, EndpointID: o.keiri.endpoint.ID, Parent: o.incident + "-E01", At: x.clock.Add(-time.Hour), Place: "3階 経理",
			Fields: map[exhibit.Field]string{exhibit.Description: "ノートPC", exhibit.Serial: "PF3ABCDE", exhibit.AcquiredBy: "鈴木 次郎", exhibit.Witness: "佐藤"}})
		ok(t, err)
		if i.Number != o.incident+"-E02" || i.Get(exhibit.Host) != "経理PC-01" || i.Get(exhibit.AcquiredByOrg) != "" {
			t.Errorf("%+v", i)
		}
		ok(t, o.DescribeExhibit(ctx, o.owner, i.ID, map[exhibit.Field]string{exhibit.Serial: "PF3ABCDF", exhibit.Maker: "メーカー", exhibit.Witness: ""}))
		ok(t, o.DescribeExhibit(ctx, o.owner, i.ID, map[exhibit.Field]string{exhibit.Maker: "メーカー"})) // nothing new
		e := o.exhibit("E02")
		if e.Get(exhibit.Serial) != "PF3ABCDF" || e.Get(exhibit.Maker) != "メーカー" || e.Get(exhibit.Witness) != "" || e.Get(exhibit.Description) != "ノートPC" {
			t.Errorf("%+v", e.Changes)
		}
		var said []string
		for _, c := range e.Changes {
			if c.Field == exhibit.Serial {
				said = append(said, c.Value)
			}
		}
		if !slices.Equal(said, []string{"PF3ABCDE", "PF3ABCDF"}) {
			t.Errorf("something was overwritten: %q", said)
		}
		if e.Trail.Holder.Person != "鈴木 次郎" || e.Trail.Place != "3階 経理" || types(e.Events) != "collect" {
			t.Errorf("%+v", e.Trail)
		}
		if n := x.lines("custody.describe"); n != 3 {
			t.Errorf("%d entries for three things said", n)
		}
		for field, n := range map[string]act.NewExhibit{
			"kind":        {Kind: "spoon"},
			"parent":      {Kind: exhibit.Paper, Parent: "INC-2026-0001-E77"},
			"at":          {Kind: exhibit.Paper, At: x.clock.Add(time.Hour)},
			"fields":      {Kind: exhibit.Paper, Fields: map[exhibit.Field]string{"colour": "red"}},
			"description": {Kind: exhibit.Paper, Fields: map[exhibit.Field]string{exhibit.Description: strings.Repeat("x", exhibit.MaxText+1)}},
		} {
			n.IncidentID = o.incident
			_, err := o.AddExhibit(ctx, o.owner, n)
			if invalid, ok := errors.AsType[*act.Invalid](err); !ok || invalid.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
	})
}

func TestCustodyFromReceiptToProofOfDeletion(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		number, ctx := o.incident+"-E01", t.Context()
		own := exhibit.Party{Organisation: "組織"}
		police := exhibit.Party{Person: "山田 花子", Organisation: "サンプル県警 サイバー課"}
		record := func(e exhibit.Event) exhibit.Event {
			t.Helper()
			x.clock = x.clock.Add(time.Minute)
			got, err := o.RecordCustody(ctx, o.owner, number, e)
			ok(t, err)
			return got
		}
		got := record(exhibit.Event{Type: exhibit.HandOver, To: police, Purpose: "被害届", Medium: exhibit.Medium{Type: "USBメモリ", SealNo: "S-77"}})
		if got.From != own {
			t.Errorf("handed over by %v", got.From)
		}
		record(exhibit.Event{Type: exhibit.Ship, To: own, Carrier: "サンプル運輸", TrackingNo: "1234"})
		if tr := o.exhibit("E01").Trail; len(tr.Gaps) != 1 || tr.Gaps[0].Code != exhibit.GapTransit || tr.To != own {
			t.Errorf("on its way: %+v", tr)
		}
		record(exhibit.Event{Type: exhibit.Receive, To: own})
		if tr := o.exhibit("E01").Trail; len(tr.Gaps) != 0 || tr.Holder != own {
			t.Errorf("back again: %+v", tr)
		}
		_, err := o.VerifyExhibit(ctx, o.owner, number, "")
		ok(t, err)
		ok(t, o.HoldIncident(ctx, o.owner, o.incident, "訴訟の予告"))
		if err := o.HoldIncident(ctx, o.owner, o.incident, "again"); !errors.Is(err, act.ErrConflict) {
			t.Errorf("held twice: %v", err)
		}
		if _, err := o.DisposalOf(ctx, o.owner, number); !errors.Is(err, act.ErrHeld) {
			t.Errorf("asked under hold: %v", err)
		}
		if _, err := o.DisposeExhibit(ctx, o.owner, number, "理由", "x"); !errors.Is(err, act.ErrHeld) {
			t.Errorf("disposed under hold: %v", err)
		}
		ok(t, o.ReleaseHold(ctx, o.owner, o.incident, "和解"))
		if err := o.ReleaseHold(ctx, o.owner, o.incident, "again"); !errors.Is(err, act.ErrConflict) {
			t.Errorf("released twice: %v", err)
		}
		ok(t, o.CloseIncident(ctx, o.owner, o.incident, "終息"))
		g, err := o.DisposalOf(ctx, o.owner, number)
		ok(t, err)
		if _, err := o.DisposeExhibit(ctx, o.owner, number, "理由", ""); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("unconfirmed: %v", err)
		}
		record(exhibit.Event{Type: exhibit.HandOver, To: police}) // what was seen has changed
		if _, err := o.DisposeExhibit(ctx, o.owner, number, "理由", g.Fingerprint()); !errors.Is(err, act.ErrInvalid) {
			t.Errorf("changed since: %v", err)
		}
		record(exhibit.Event{Type: exhibit.Return, From: police, To: own})
		if g, err = o.DisposalOf(ctx, o.owner, number); err != nil {
			t.Fatal(err)
		}
		items, err := o.Evidence(ctx, o.owner, o.incident)
		ok(t, err)
		_, err = o.DisposeExhibit(ctx, o.owner, number, "手続きの終了", g.Fingerprint())
		ok(t, err)

		e := o.exhibit("E01")
		if !e.Trail.Disposed || e.Acquisition.DisposedAt.IsZero() || len(e.Trail.Gaps) != 0 {
			t.Errorf("%+v", e.Trail)
		}
		for _, it := range items {
			d, err := digest.Parse(it.StoredSHA256)
			ok(t, err)
			if _, err := x.blobs.Stat(ctx, d); !errors.Is(err, blob.ErrNotFound) {
				t.Errorf("%s is still there: %v", it.Name, err)
			}
			if _, _, err := o.OpenEvidence(ctx, o.owner, it.ID, act.ToView); !errors.Is(err, act.ErrDisposed) {
				t.Errorf("opened: %v", err)
			}
		}
		// What proves what it was is kept, and the ledger names every file that went.
		sealed, err := o.Sealed(ctx, o.owner, e.AcquisitionID)
		ok(t, err)
		if digest.Of(sealed.Manifest).String() != e.Acquisition.ManifestSHA256 || len(sealed.Signature) == 0 || len(sealed.Receipt.Payload) == 0 {
			t.Error("the proof is gone too")
		}
		entries, err := o.LedgerEntries(ctx, o.owner, act.LedgerFilter{Subject: e.ID, Limit: 100})
		ok(t, err)
		if entries[0].Act != evidence.ActDisposed || entries[1].Act != evidence.ActDispose || entries[1].Details["purpose"] != "手続きの終了" || entries[1].ActorName != "社長" {
			t.Errorf("%+v", entries[:2])
		}
		for _, it := range items {
			if !strings.Contains(entries[1].Details[evidence.DisposalBlobs], fmt.Sprintf("%s %d %s", it.StoredSHA256, it.StoredSize, it.Number)) {
				t.Errorf("the ledger does not name %s", it.Number)
			}
		}
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		if _, err := o.DisposeExhibit(ctx, o.owner, number, "again", g.Fingerprint()); !errors.Is(err, act.ErrConflict) {
			t.Errorf("disposed twice: %v", err)
		}
		if _, err := o.VerifyExhibit(ctx, o.owner, number, ""); !errors.Is(err, act.ErrConflict) {
			t.Errorf("verified: %v", err)
		}
		// The same bytes sent again get the old receipt, and nothing comes back to life.
		told := 0
		lines, err := o.Timeline(ctx, o.owner, o.incident)
		ok(t, err)
		for _, l := range lines {
			if l.Kind == incident.EntryCustody {
				told++
			}
		}
		if told != 9 { // two handed over, shipped, received, verified, held, released, returned, disposed of
			t.Errorf("%d lines on the timeline", told)
		}
	})
}

func TestWhoMayKeepCustody(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ctx, number := t.Context(), o.incident+"-E01"
		viewer, handler, auditor := x.person("viewer", operator.Viewer), x.person("handler", operator.Handler), x.person("auditor", operator.Auditor)
		for _, a := range []act.Actor{viewer, auditor} {
			_, err := o.Custody(ctx, a, o.incident)
			ok(t, err)
			_, err = o.RecordCustody(ctx, a, number, exhibit.Event{Type: exhibit.Note, Text: "x"})
			_, verr := o.VerifyExhibit(ctx, a, number, "")
			_, aerr := o.AddExhibit(ctx, a, act.NewExhibit{IncidentID: o.incident, Kind: exhibit.Paper})
			for n, err := range []error{err, verr, aerr, o.DescribeExhibit(ctx, a, number, map[exhibit.Field]string{exhibit.Owner: "x"})} {
				if !errors.Is(err, act.ErrForbidden) {
					t.Errorf("%d: %v", n, err)
				}
			}
		}
		_, err := o.RecordCustody(ctx, handler, number, exhibit.Event{Type: exhibit.Note, Text: "x"})
		ok(t, err)
		_, derr := o.DisposalOf(ctx, handler, number)
		_, derr2 := o.DisposeExhibit(ctx, handler, number, "x", "x")
		for n, err := range []error{derr, derr2, o.HoldIncident(ctx, handler, o.incident, "x"), o.ReleaseHold(ctx, handler, o.incident, "x"), o.SetRetention(ctx, handler, 1)} {
			if !errors.Is(err, act.ErrForbidden) {
				t.Errorf("handler %d: %v", n, err)
			}
		}
	})
}

func TestWhatPeopleRecordIsChecked(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		to := exhibit.Party{Person: "山田"}
		for field, e := range map[string]exhibit.Event{
			"type":        {Type: exhibit.Dispose},
			"to":          {Type: exhibit.HandOver},
			"place":       {Type: exhibit.Store},
			"seal_no":     {Type: exhibit.Seal},
			"hash_after":  {Type: exhibit.Verify},
			"hash_before": {Type: exhibit.Verify, HashBefore: "abc", HashAfter: strings.Repeat("a", 64)},
			"text":        {Type: exhibit.Note, Text: " \n"},
			"at":          {Type: exhibit.HandOver, To: to, At: x.clock.Add(time.Hour)},
			"carrier":     {Type: exhibit.Ship, To: to, Carrier: strings.Repeat("x", exhibit.MaxName+1)},
		} {
			_, err := o.RecordCustody(t.Context(), o.owner, o.incident+"-E01", e)
			if invalid, ok := errors.AsType[*act.Invalid](err); !ok || invalid.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		e := o.exhibit("E01")
		for hash, want := range map[string]string{e.Acquisition.ManifestSHA256: exhibit.ResultMatch, strings.Repeat("a", 64): exhibit.ResultMismatch} {
			got, err := o.RecordCustody(t.Context(), o.owner, e.Number, exhibit.Event{Type: exhibit.Verify, HashAfter: strings.ToUpper(hash)})
			ok(t, err)
			if got.Result != want || got.HashBefore != e.Acquisition.ManifestSHA256 {
				t.Errorf("%+v", got)
			}
		}
		// Who records it, where it belongs and what came of it are not a person's to say.
		got, err := o.RecordCustody(t.Context(), o.owner, e.Number, exhibit.Event{Type: exhibit.Note, Text: "x", ActorName: "偽", IncidentID: "inc_x", Seq: 99, Clock: exhibit.ClockEndpoint, Result: exhibit.ResultMatch})
		ok(t, err)
		if got.ActorName != "社長" || got.IncidentID != e.IncidentID || got.Clock != "" || got.Result != "" {
			t.Errorf("%+v", got)
		}
		if _, err := o.RecordCustody(t.Context(), o.owner, "INC-2026-0001-E77", exhibit.Event{Type: exhibit.Note, Text: "x"}); !errors.Is(err, act.ErrNotFound) {
			t.Errorf("of nothing: %v", err)
		}
	})
}

// TestCustodyRowsAreHeldAgainstTheLedger: whoever has the database alone is found out.
func TestCustodyRowsAreHeldAgainstTheLedger(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		a := o.keiri.send("flash", captured())
		_, err := o.RecordCustody(t.Context(), o.owner, o.incident+"-E01", exhibit.Event{Type: exhibit.HandOver, To: exhibit.Party{Person: "山田"}})
		ok(t, err)
		ok(t, o.DescribeExhibit(t.Context(), o.owner, o.incident+"-E01", map[exhibit.Field]string{exhibit.Owner: "組織"}))
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Fatalf("%q", codes)
		}
		undo := errors.New("undo")
		for name, c := range map[string]struct {
			sql  string
			want string
		}{
			"a name in an event":          {`UPDATE exhibit_event SET to_person = '鈴木' WHERE type = 'hand_over'`, "custody_edited"},
			"the time of an event":        {`UPDATE exhibit_event SET at = '2026-01-01T00:00:00.000000000Z' WHERE type = 'receive'`, "custody_edited"},
			"its type":                    {`UPDATE exhibit_event SET type = 'note' WHERE type = 'hand_over'`, "custody_edited"},
			"an event that is gone":       {`DELETE FROM exhibit_event WHERE type = 'hand_over'`, "custody_missing"},
			"a witness who was not there": {`UPDATE exhibit_event SET witness = 'x' WHERE seq = 1`, "custody_edited"},
			"an event that is new":        {`INSERT INTO exhibit_event SELECT incident_id, 99, organisation_id, item_id, type, at, clock, from_person, from_org, to_person, to_org, place, medium_type, medium_serial, seal_no, carrier, tracking_no, purpose, hash_before, hash_after, result, note, recorded_at, actor_kind, actor_id, actor_name, ledger_idx + 9999, witness FROM exhibit_event WHERE type = 'receive'`, "custody_surplus"},
			"what was said":               {`UPDATE exhibit_change SET value = '別の会社' WHERE field = 'owner'`, "custody_edited"},
			"what was said at first":      {`UPDATE exhibit_change SET value = 'pc-9' WHERE field = 'host'`, "custody_edited"},
			"an exhibit's number":         {`UPDATE exhibit_item SET number = 'INC-2026-0001-E09'`, "custody_edited"},
			"an exhibit":                  {`DELETE FROM exhibit_item`, "custody_missing"},
			"a disposal that never was": {`INSERT INTO evidence_disposal (acquisition_id, organisation_id, at, ledger_idx, finished_at, finished_idx)
				SELECT id, organisation_id, received_at, ledger_idx, received_at, ledger_idx FROM evidence_acquisitions WHERE id = '` + a + `'`, "disposal_wrong"},
		} {
			err := x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
				if _, err := tx.ExecContext(ctx, c.sql); err != nil {
					return err
				}
				var codes []string
				custody, err := exhibit.Audit(ctx, tx)
				if err != nil {
					return err
				}
				for _, f := range custody {
					codes = append(codes, string(f.Fault))
				}
				found, _, err := (&evidence.Auditor{Query: tx, Blobs: x.blobs}).Run(ctx)
				if err != nil {
					return err
				}
				for _, f := range found {
					codes = append(codes, string(f.Fault))
				}
				if !slices.Contains(codes, c.want) {
					t.Errorf("%s: found %q, want %s", name, codes, c.want)
				}
				return undo
			})
			if !errors.Is(err, undo) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestDownloadsByTokensAreNoFault: that a program acted stands in the entry alone.
func TestDownloadsByTokensAreNoFault(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		items, err := o.Evidence(t.Context(), o.owner, o.incident)
		ok(t, err)
		program, _, _ := x.token(o.owner, act.ScopeEvidence, act.ScopeRecord)
		_, r, err := o.OpenEvidence(t.Context(), program, items[0].ID, act.ToDownload)
		ok(t, err)
		ok(t, r.Close())
		ok(t, o.CloseIncident(t.Context(), program, o.incident, ""))
		if codes := o.fsckCodes(); len(codes) != 0 {
			t.Errorf("%q", codes)
		}
		x.ledgerStands()
	})
}

// TestEvidenceOfEarlierVersionsBecomesExhibits: their pieces keep the numbers they have.
func TestEvidenceOfEarlierVersionsBecomesExhibits(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		o := newOffice(t, x)
		o.keiri.send("flash", captured())
		ok(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			for _, s := range []string{`DELETE FROM exhibit_item`, `DELETE FROM exhibit_change`, `DELETE FROM exhibit_event`,
				`UPDATE evidence_items SET number = '` + o.incident + `-E0' || item_no`} {
				if _, err := tx.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}))
		n, err := o.AdoptExhibits(t.Context())
		ok(t, err)
		again, err := o.AdoptExhibits(t.Context())
		ok(t, err)
		c := o.custody()
		if n != 1 || again != 0 || len(c.Items) != 1 || c.Items[0].Number != fmt.Sprintf("%s-E%02d", o.incident, len(captured())+1) || types(c.Items[0].Events) != "collect receive" {
			t.Fatalf("%d, %d: %+v", n, again, c.Items)
		}
		second := o.sales.send("flash", captured())
		items, err := o.AcquisitionItems(t.Context(), o.owner, second)
		ok(t, err)
		if items[0].Number != fmt.Sprintf("%s-E%02d-01", o.incident, len(captured())+2) {
			t.Errorf("%s", items[0].Number)
		}
	})
}
