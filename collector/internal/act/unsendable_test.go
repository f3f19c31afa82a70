package act_test

import (
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
)

func TestCommandThatCannotBeSentIsEnded(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		p, other := x.modern("pc"), x.modern("other")
		c, err := x.Isolate(t.Context(), x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.CommandUnsendable(t.Context(), other.id, c.ID, "why"), act.ErrNotFound)
		for range 2 {
			if err := x.CommandUnsendable(t.Context(), p.id, c.ID, strings.Repeat("あ", dispatch.MaxDetail)); err != nil {
				t.Fatal(err)
			}
		}
		if c, err = x.Command(t.Context(), x.owner, c.ID); err != nil || c.Status != dispatch.Refused || !strings.Contains(c.Detail, "no agent takes it: あ") || len(c.Detail) > dispatch.MaxDetail {
			t.Errorf("%s %.100q, %v", c.Status, c.Detail, err)
		}
		if got := strings.Join(x.acts(c.ID), " "); got != "dispatch.isolate dispatch.finish" {
			t.Errorf("ledger: %s", got)
		}
		if open, err := x.Outstanding(t.Context(), p.id); err != nil || len(open) != 0 {
			t.Errorf("%d are sent again, %v", len(open), err)
		}
		x.ledgerStands()
	})
}
