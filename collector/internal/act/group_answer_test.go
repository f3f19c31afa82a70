package act_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
)

// What an order to a group leaves for the streams is what the database says, once, and
// not for an endpoint that has another order before it.
func TestAnOrderToAGroupAnswersWhatItsStreamsWillAsk(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(3)
		before := x.must(x.Acquire(t.Context(), x.owner, pcs[2].id, act.Order{}))
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "ransomware everywhere", Order: act.Order{Reason: "ransomware", IsolateFirst: true}}
		sel := act.Selection{All: true}
		pv, err := x.PreviewGroup(t.Context(), x.owner, sel, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Confirmed = pv.Fingerprint
		g, err := x.OrderGroup(t.Context(), x.owner, sel, o)
		if err != nil {
			t.Fatal(err)
		}
		inc, err := x.Incident(t.Context(), x.owner, g.IncidentID)
		if err != nil {
			t.Fatal(err)
		}
		for i, p := range pcs {
			stored, err := dispatch.Outstanding(t.Context(), x.db.Read(), p.id)
			if err != nil || i == 2 && (len(stored) != 2 || stored[0].ID != before.ID) {
				t.Fatalf("%+v, %v", stored, err)
			}
			for range 2 { // as it was left, and as it is read
				got, err := x.Outstanding(t.Context(), p.id)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(stored, got); diff != "" {
					t.Errorf("endpoint %d is told (-stored +told):\n%s", i, diff)
				}
				if a, err := x.Attention(t.Context(), p.id); err != nil || a != (act.Attention{Open: true, Number: inc.Number}) {
					t.Errorf("endpoint %d is told of %+v, %v", i, a, err)
				}
			}
		}
	})
}

// What happened since is not overheard.
func TestWhatAnOrderToAGroupLeftIsForgottenInTime(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		pcs := x.office(2)
		o := act.GroupOrder{Verb: dispatch.Isolate, BreakGlass: "ransomware everywhere", Order: act.Order{Reason: "ransomware", IsolateFirst: true}}
		sel := act.Selection{All: true}
		pv, err := x.PreviewGroup(t.Context(), x.owner, sel, o)
		if err != nil {
			t.Fatal(err)
		}
		o.Confirmed = pv.Fingerprint
		g, err := x.OrderGroup(t.Context(), x.owner, sel, o)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := dispatch.Outstanding(t.Context(), x.db.Read(), pcs[0].id)
		if err != nil || len(stored) != 1 {
			t.Fatalf("%+v, %v", stored, err)
		}
		x.finished(pcs[0], stored[0].ID)
		if got, err := x.Outstanding(t.Context(), pcs[0].id); err != nil || len(got) != 0 {
			t.Errorf("after its result it has %+v, %v", got, err)
		}
		if err := x.CloseIncident(t.Context(), x.owner, g.IncidentID, "false alarm"); err != nil {
			t.Fatal(err)
		}
		if a, err := x.Attention(t.Context(), pcs[1].id); err != nil || a.Open {
			t.Errorf("of the incident that is closed it hears %+v, %v", a, err)
		}
	})
}
