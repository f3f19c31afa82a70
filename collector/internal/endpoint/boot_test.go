package endpoint_test

import (
	"context"
	"reflect"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact/record"
)

func aBoot() record.Boot {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	return record.Boot{
		Verdict: record.BootCleanWithCapture, Reason: record.BootReasonTwoSources, BootID: "b2", PreviousBootID: "b1",
		AskedBy:    record.BootAsked{By: "power_key", Type: "poweroff", Who: "PID 812 ('systemctl')"},
		EndedAfter: at, EndedBefore: at.Add(time.Minute), LastEvidenceAt: at.Add(-time.Second),
		Gap:      record.BootGap{Known: true, AtLeastNS: 1e9, AtMostNS: 3_250_000_000},
		Shutdown: record.BootShutdown{NoticedAt: at, ReleasedAt: at, AddedDelayNS: 312_000_000},
		Basis:    []record.BootBasis{{Source: "wtmp", Witness: "wtmp", Read: "ok", Says: "shutdown", Leans: "orderly"}, {Source: "pstore", Witness: "kernel", Read: "absent"}},
	}
}

func TestReadBootReadsWhatTheAgentWrites(t *testing.T) {
	r := aBoot()
	b := endpoint.ReadBoot(r.AppendJSON(nil))
	at := r.EndedAfter
	want := endpoint.Boot{
		Verdict: "clean_with_capture", Reason: "two_sources", BootID: "b2", PreviousBootID: "b1", Asked: endpoint.BootAsked{By: "power_key", Type: "poweroff", Who: "PID 812 ('systemctl')"},
		EndedAfter: at, EndedBefore: at.Add(time.Minute), LastEvidenceAt: at.Add(-time.Second), GapMin: time.Second, GapMax: 3250 * time.Millisecond,
		AddedDelay: 312 * time.Millisecond,
		Basis:      []endpoint.BootBasis{{Source: "wtmp", Read: "ok", Says: "shutdown", Leans: "orderly"}, {Source: "pstore", Read: "absent"}},
	}
	if !reflect.DeepEqual(b, want) {
		t.Errorf("\n got %+v\nwant %+v", b, want)
	}
	r.Shutdown.AddedDelayNS, r.Gap = 0, record.BootGap{}
	if b := endpoint.ReadBoot(r.AppendJSON(nil)); b.AddedDelay != 0 || b.GapMax != -1 {
		t.Errorf("delay %v, gap %v", b.AddedDelay, b.GapMax)
	}
}

func TestReadBootOfStrangers(t *testing.T) {
	for in, want := range map[string]string{
		"": "unreadable", "null": "unreadable", "[]": "unreadable", "{}": "unreadable", `{"verdict":7}`: "unreadable", `{"verdict":""}`: "unreadable",
		`{"verdict":"abrupt"}`: "abrupt", `{"verdict":"all is well"}`: "unknown", `{"verdict":"clean_with_capture "}`: "unknown",
		`{"verdict":"` + strings.Repeat("あ", 1000) + `"}`: "unknown",
	} {
		b := endpoint.ReadBoot([]byte(in))
		if b.Known() != want {
			t.Errorf("%.60q is %q", in, b.Known())
		}
		if b.GapMax != -1 || b.AddedDelay != -1 || len(b.Verdict) > 64 {
			t.Errorf("%.60q: %+v", in, b)
		}
	}
	b := endpoint.ReadBoot([]byte(`{"verdict":"crash","gap":{"known":true,"at_least_ns":5,"at_most_ns":2},"shutdown":[],"basis":[1,{},{"source":"x","leans":3}],
		"asked_by":"root","previous_ended_after":"99999-01-01T00:00:00Z","last_evidence_at":17}`))
	if b.GapMax != -1 || b.AddedDelay != -1 || !b.EndedAfter.IsZero() || !b.LastEvidenceAt.IsZero() || b.Asked != (endpoint.BootAsked{}) ||
		!reflect.DeepEqual(b.Basis, []endpoint.BootBasis{{Source: "x"}}) || b.Verdict != "crash" {
		t.Errorf("%+v", b)
	}
	if b := endpoint.ReadBoot([]byte(`{"verdict":"crash","clock_contradicts":true,"gap":{"known":true,"at_least_ns":1,"at_most_ns":2}}`)); b.GapMax != -1 {
		t.Errorf("a gap by clocks that contradict each other: %v", b.GapMax)
	}
}

func FuzzReadBoot(f *testing.F) {
	r := aBoot()
	f.Add(r.AppendJSON(nil))
	f.Add([]byte(`{"verdict":"x","gap":{"known":true,"at_least_ns":1e300,"at_most_ns":-1}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		b := endpoint.ReadBoot(line)
		if b.Verdict == "" || len(b.Verdict) > 64 || len(b.Asked.By) > 256 || len(b.Asked.Who) > 256 || len(b.Basis) > 32 {
			t.Fatalf("%+v", b)
		}
		if b.GapMin < -1 || b.GapMax < b.GapMin || b.AddedDelay < -1 {
			t.Fatalf("%+v", b)
		}
	})
}

func TestBootsAreKept(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, at := t.Context(), time.Date(2026, 11, 22, 3, 0, 0, 5, time.UTC)
		r := aBoot()
		var stored []endpoint.Boot
		for i, id := range []string{"acq_1", "acq_2", "acq_3"} {
			b := endpoint.ReadBoot(r.AppendJSON(nil))
			b.AcquisitionID, b.OrganisationID, b.EndpointID, b.EvidenceID, b.ReceivedAt = id, "org_a", "end_1", "evd_1", at.Add(time.Duration(i)*time.Hour)
			stored = append(stored, b)
		}
		stored[1] = endpoint.Boot{AcquisitionID: "acq_2", OrganisationID: "org_a", EndpointID: "end_1", EvidenceID: "evd_1", Verdict: "a\x00b", GapMin: -1, GapMax: -1, AddedDelay: -1, ReceivedAt: stored[1].ReceivedAt}
		stored[2].EndpointID = "end_2"
		for i, v := range []string{record.BootAgentRestarted, record.BootFirstRun, record.BootAgentRestarted} {
			stored = append(stored, endpoint.Boot{AcquisitionID: "acq_9" + v + strings.Repeat("x", i), OrganisationID: "org_a", EndpointID: "end_1", Verdict: v, ReceivedAt: at.Add(time.Duration(9+i) * time.Hour)})
		}
		for _, b := range stored {
			if err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error { _, err := endpoint.InsertBoot(ctx, tx, b); return err }); err != nil {
				t.Fatal(err)
			}
		}
		got, err := endpoint.Boots(ctx, db.Read(), "end_1", 10)
		if err != nil || len(got) != 2 {
			t.Fatalf("%+v, %v", got, err)
		}
		if got[0].AcquisitionID != "acq_2" || strings.ContainsRune(got[0].Verdict, 0) || got[0].Known() != record.BootUnknown {
			t.Errorf("%+v", got[0])
		}
		if !reflect.DeepEqual(got[1], stored[0]) {
			t.Errorf("\n got %+v\nwant %+v", got[1], stored[0])
		}
		if got, err := endpoint.Boots(ctx, db.Read(), "end_1", 1); err != nil || len(got) != 1 || got[0].AcquisitionID != "acq_2" {
			t.Errorf("restarts of the agent push the ends out: %+v, %v", got, err)
		}
	})
}
