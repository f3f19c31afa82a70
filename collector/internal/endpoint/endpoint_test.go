package endpoint_test

import (
	"context"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

func TestStore(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx, now := t.Context(), time.Date(2026, 1, 1, 0, 0, 0, 5, time.UTC)
		e := endpoint.Endpoint{ID: id.New(id.Endpoint), OrganisationID: "org_a", Hostname: "pc\x00\xff", OS: "linux", EnrolledAt: now}
		in := func(f func(ctx context.Context, tx *sqldb.Tx) error) error { t.Helper(); return db.Tx(ctx, f) }
		if err := in(func(ctx context.Context, tx *sqldb.Tx) error { return endpoint.Insert(ctx, tx, e, "192.0.2.1") }); err != nil {
			t.Fatal(err)
		}
		got, err := endpoint.ByID(ctx, db.Read(), e.ID)
		if err != nil || got.Hostname != "pc\uFFFD\uFFFD" || !got.EnrolledAt.Equal(now) || !got.LastSeenAt.IsZero() || got.Isolation.Observed != endpoint.Unknown {
			t.Errorf("%+v, %v", got, err)
		}
		i := endpoint.IsolationStatus{Desired: endpoint.Isolated, Observed: endpoint.Failed, DroppedPackets: math.MaxUint64, MeasuredAt: now, ReceivedAt: now, WayHome: true, Capable: true, Detail: "d"}
		if err := in(func(ctx context.Context, tx *sqldb.Tx) error { return endpoint.SetIsolation(ctx, tx, e.ID, i) }); err != nil {
			t.Fatal(err)
		}
		i.DroppedPackets = math.MaxInt64 // as much as a BIGINT holds
		if got, err = endpoint.ByID(ctx, db.Read(), e.ID); err != nil || !reflect.DeepEqual(got.Isolation, i) {
			t.Errorf("%+v, %v, want %+v", got.Isolation, err, i)
		}
		d := endpoint.Description{Hostname: "new", Capability: 7, AgentTime: now.Add(time.Hour), Spooled: 3, SpooledBytes: math.MaxUint64}
		if err := in(func(ctx context.Context, tx *sqldb.Tx) error { return endpoint.Describe(ctx, tx, e.ID, d, "", now) }); err != nil {
			t.Fatal(err)
		}
		list, err := endpoint.List(ctx, db.Read(), "org_a")
		if err != nil || len(list) != 1 || list[0].Hostname != "new" || list[0].ClockOffset != time.Hour || list[0].Spooled != 3 {
			t.Errorf("%+v, %v", list, err)
		}
		if list, err := endpoint.List(ctx, db.Read(), "org_b"); err != nil || len(list) != 0 {
			t.Errorf("another organisation sees %d, %v", len(list), err)
		}
		if err := in(func(ctx context.Context, tx *sqldb.Tx) error { return endpoint.Revoke(ctx, tx, "end_none", now) }); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%v", err)
		}
		if _, err := endpoint.ByID(ctx, db.Read(), "end_none"); !errors.Is(err, endpoint.ErrNotFound) {
			t.Errorf("%v", err)
		}
	})
}
