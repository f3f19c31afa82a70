package act_test

import (
	"errors"
	"slices"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
)

// TestTriageScope: who may set what of people's own is read, that it stands in the ledger, and
// that every endpoint is told, those that are connected at once.
func TestTriageScope(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		pc := x.connected("keiri-01")
		told := func() *organisation.Triage {
			t.Helper()
			set, err := x.EndpointSettings(ctx, pc.id)
			ok(t, err)
			return set.Triage
		}
		if got, said, err := x.TriageScope(ctx, x.owner); err != nil || said || got != organisation.DefaultTriage() || told() != nil {
			t.Errorf("at first %+v, %t, %v; told %+v", got, said, err, told())
		}
		want := organisation.Triage{Private: true}
		for _, r := range []operator.Role{operator.Handler, operator.Viewer, operator.Auditor} {
			if err := x.SetTriageScope(ctx, x.person(string(r), r), want); !errors.Is(err, act.ErrForbidden) {
				t.Errorf("%s: %v", r, err)
			}
		}
		wake, _, cancel := x.hub.SubscribeEndpoint(pc.id)
		defer cancel()
		ok(t, x.SetTriageScope(ctx, x.owner, want))
		select {
		case <-wake:
		default:
			t.Error("a connected endpoint was not woken")
		}
		if got, said, err := x.TriageScope(ctx, x.person("reader", operator.Viewer)); err != nil || !said || got != want {
			t.Errorf("%+v, %t, %v", got, said, err)
		}
		if got := told(); got == nil || *got != want {
			t.Errorf("told %+v", got)
		}
		entries, err := x.LedgerEntries(ctx, x.owner, act.LedgerFilter{})
		ok(t, err)
		i := slices.IndexFunc(entries, func(e ledger.Recorded) bool { return e.Act == "organisation.triage" })
		if i < 0 || entries[i].Details["private"] != "true" || entries[i].Details["histories"] != "false" {
			t.Errorf("entry %d of %+v", i, entries)
		}
	})
}
