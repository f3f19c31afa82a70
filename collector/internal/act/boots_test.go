package act_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// accept plays the intake for an acquisition with one piece of evidence.
func (x *fixture) accept(p pc, incidentID string, kind artifact.Kind, plain string) evidence.Acquisition {
	x.t.Helper()
	return x.acceptOf(artifact.TriggerBoot, p, incidentID, kind, plain)
}

func (x *fixture) acceptOf(trigger artifact.Trigger, p pc, incidentID string, kind artifact.Kind, plain string) evidence.Acquisition {
	x.t.Helper()
	ctx := x.t.Context()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		x.t.Fatal(err)
	}
	stored := w.EncodeAll([]byte(plain), nil)
	if plain == "damaged" {
		stored = []byte(plain)
	}
	d := digest.Of(stored)
	if err := x.blobs.Put(ctx, d, int64(len(stored)), bytes.NewReader(stored)); err != nil {
		x.t.Fatal(err)
	}
	e, err := x.Endpoint(ctx, x.owner, p.id)
	if err != nil {
		x.t.Fatal(err)
	}
	a := evidence.Acquisition{ID: id.New(id.Acquisition), OrganisationID: e.OrganisationID, EndpointID: p.id, IncidentID: incidentID,
		Trigger: trigger, Outcome: artifact.Complete, ReceivedAt: x.clock, LedgerIdx: 3}
	it := evidence.Item{ID: id.New(id.Evidence), Name: "artifacts/" + string(kind) + ".jsonl.zst", Kind: kind, StoredSHA256: d.String()}
	if err := x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { return x.OnAccepted(ctx, tx, a, []evidence.Item{it}) }); err != nil {
		x.t.Fatal(err)
	}
	return a
}

func TestHowABootEndedIsKeptAndTold(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.connected("pc")
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t", EndpointIDs: []string{p.id}})
		if err != nil {
			t.Fatal(err)
		}
		x.accept(p, "", artifact.KindBoot, `{"verdict":"power_loss","boot_id":"b1","gap":{"known":true,"at_least_ns":0,"at_most_ns":3200000000}}`+"\n")
		x.clock = x.clock.Add(time.Minute)
		x.accept(p, inc.ID, artifact.KindBoot, `{"verdict":"clean_with_capture","asked_by":{"by":"power_key"},"shutdown":{"added_delay_ns":120000000}}`+"\n")
		for _, plain := range []string{"damaged", "no json\n", `{"verdict":"perfectly fine"}` + "\n", `{"verdict":"agent_restarted"}` + "\n", `{"verdict":"crash","x":"` + strings.Repeat("y", 1<<20) + `"}`} {
			x.clock = x.clock.Add(time.Minute)
			x.accept(p, inc.ID, artifact.KindBoot, plain)
		}
		x.accept(p, inc.ID, artifact.KindProcess, `{"pid":1}`+"\n")
		for _, trigger := range []artifact.Trigger{artifact.TriggerPreserve, artifact.TriggerCommand, "new"} { // which is none of a boot
			x.acceptOf(trigger, p, inc.ID, artifact.KindBoot, `{"verdict":"clean_with_capture"}`+"\n")
		}

		list, err := x.Boots(ctx, x.owner, p.id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, b := range list {
			got = append(got, b.Known())
		}
		if want := "unreadable unknown unreadable unreadable clean_with_capture power_loss"; strings.Join(got, " ") != want {
			t.Errorf("%q, want %q", got, want)
		}
		if b := list[len(list)-1]; b.GapMax != 3200*time.Millisecond || b.BootID != "b1" {
			t.Errorf("%+v", b)
		}
		entries, err := x.Timeline(ctx, x.owner, inc.ID)
		if err != nil {
			t.Fatal(err)
		}
		var told []string
		for _, e := range entries {
			if e.Kind == incident.EntryBoot {
				told = append(told, e.Params["verdict"]+e.Params["verdict_raw"]+" "+e.Params["asked_by"]+" "+e.Params["added_delay_ns"])
			}
		}
		if want := "clean_with_capture power_key 120000000|unreadable  |unreadable  |unknownperfectly fine  |unreadable  "; strings.Join(told, "|") != want {
			t.Errorf("%q, want %q", strings.Join(told, "|"), want)
		}
	})
}
