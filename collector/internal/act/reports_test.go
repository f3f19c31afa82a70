package act_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// What many endpoints report at once is recorded as if each had been alone: in its order,
// with its entries, and the fault of one is nobody else's.
func TestReportsOfManyAtOnce(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		const n = 12
		pcs := x.office(n)
		commands := make([]dispatch.Command, n)
		for i, p := range pcs {
			commands[i] = x.must(x.Isolate(t.Context(), x.owner, p.id, act.Order{IsolateFirst: true}))
		}
		begun, goOn, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- x.db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		errs := make([]chan error, n)
		for i, p := range pcs {
			errs[i] = make(chan error, 1)
			m := measured(endpoint.Isolated, x.clock.Add(time.Second)) // after what the endpoint said when it connected
			m.CommandID = commands[i].ID
			list := []act.Report{
				{CommandID: commands[i].ID, At: x.clock},
				{CommandID: commands[i].ID, At: x.clock, Result: &dispatch.Result{CommandID: commands[i].ID, Status: dispatch.Done, FinishedAt: x.clock}, Isolation: &m},
			}
			switch i {
			case 3:
				list[0].CommandID = commands[4].ID // another's
			case 7:
				list[1].Result.Status = "nonsense"
			case 9:
				list = list[:1]
			}
			go func() { errs[i] <- x.CommandsReported(t.Context(), p.id, func() []act.Report { return list }) }()
		}
		close(goOn)
		if err := <-held; err != nil {
			t.Error(err)
		}
		for i, p := range pcs {
			err := <-errs[i]
			want, status, at := "dispatch.isolate dispatch.finish", dispatch.Done, endpoint.Isolated
			switch i {
			case 3:
				wantErr(t, err, act.ErrNotFound)
				want, status, at = "dispatch.isolate", dispatch.Queued, endpoint.Released
			case 7:
				wantInvalid(t, err, "status", "unknown")
				want, status, at = "dispatch.isolate", dispatch.Queued, endpoint.Released
			case 9:
				want, status, at = "dispatch.isolate dispatch.accept", dispatch.Accepted, endpoint.Released
				fallthrough
			default:
				if err != nil {
					t.Errorf("endpoint %d: %v", i, err)
				}
			}
			if got := strings.Join(x.acts(commands[i].ID), " "); got != want {
				t.Errorf("endpoint %d: ledger: %s", i, got)
			}
			if at := x.details(commands[i].ID)["accepted_at"]; status == dispatch.Done && at != sqldb.FormatTime(x.clock) {
				t.Errorf("endpoint %d: the ledger has it accepted at %q", i, at)
			}
			c := x.command(commands[i].ID)
			if c.Status != status || c.AcceptedAt.IsZero() != (status == dispatch.Queued) || c.FinishedAt.IsZero() != (status != dispatch.Done) {
				t.Errorf("endpoint %d: %+v", i, c)
			}
			if e, err := x.Endpoint(t.Context(), x.owner, p.id); err != nil || fmt.Sprint(e.Isolation.Observed) != fmt.Sprint(at) {
				t.Errorf("endpoint %d is %s, %v", i, e.Isolation.Observed, err)
			}
		}
		x.ledgerStands()
	})
}

// What an endpoint may not say disturbs nobody: it takes back no transaction, also with a
// text that the database does not take.
func TestReportsThatAreRefusedTakeBackNothing(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(4)
		c := x.must(x.Isolate(t.Context(), x.owner, pcs[0].id, act.Order{IsolateFirst: true}))
		revoked := pcs[3]
		if err := x.RevokeEndpoint(t.Context(), x.owner, revoked.id, "lost"); err != nil {
			t.Fatal(err)
		}
		begun, goOn, held := make(chan struct{}), make(chan struct{}), make(chan error)
		go func() {
			held <- x.db.Tx(t.Context(), func(context.Context, *sqldb.Tx) error {
				close(begun)
				<-goOn
				return nil
			})
		}()
		<-begun
		var takes atomic.Int32 // of the endpoint that says nothing wrong
		errs := make([]chan error, len(pcs))
		for i, p := range pcs {
			errs[i] = make(chan error, 1)
			r := act.Report{CommandID: c.ID, At: x.clock}
			switch i {
			case 1:
				r.CommandID = "cmd_\x00"
			case 2:
				r.CommandID = id.New(id.Command)
			}
			go func() {
				errs[i] <- x.CommandsReported(t.Context(), p.id, func() []act.Report {
					if i == 0 {
						takes.Add(1)
					}
					return []act.Report{r}
				})
			}()
		}
		close(goOn)
		if err := <-held; err != nil {
			t.Error(err)
		}
		if err := <-errs[0]; err != nil || takes.Load() != 1 {
			t.Errorf("%v, begun %d times", err, takes.Load())
		}
		wantErr(t, <-errs[1], act.ErrNotFound)
		wantErr(t, <-errs[2], act.ErrNotFound)
		wantErr(t, <-errs[3], act.ErrForbidden)
		if got := x.command(c.ID); got.Status != dispatch.Accepted {
			t.Errorf("%+v", got)
		}
		x.ledgerStands()
	})
}
