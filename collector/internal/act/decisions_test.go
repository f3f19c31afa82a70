package act_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
)

// TestCustomersAreReadByThoseWhoHandle: names and numbers of customers, and decisions, are
// not shown to those who only look, in their logs or on the timeline.
func TestCustomersAreReadByThoseWhoHandle(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "a"})
		ok(t, err)
		vendor := x.person("vendor", operator.Vendor)
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock.AddDate(0, 0, 3)))
		_, err = x.RecordEnquiry(ctx, x.owner, inc.ID, record.Enquiry{Who: "CUSTOMER", Contact: "090-1111-2222", Channel: record.ByPhone, Question: "QUESTION"})
		ok(t, err)
		_, err = x.RecordDecision(ctx, x.owner, inc.ID, record.Decision{Kind: record.DecidePay, Options: "o", Facts: "f", Decision: "REFUSED", Reason: "r", Decider: "d"})
		ok(t, err)
		for _, row := range []struct {
			who                  act.Actor
			decisions, enquiries bool
		}{
			{x.owner, true, true},
			{x.person("handler", operator.Handler), true, true},
			{x.person("auditor", operator.Auditor), true, false},
			{x.person("looks", operator.Viewer), false, false},
			{vendor, false, false},
		} {
			_, err := x.Decisions(ctx, row.who, inc.ID)
			if got := !errors.Is(err, act.ErrForbidden); got != row.decisions {
				t.Errorf("%s: decisions %v", row.who.ID, err)
			}
			_, err = x.Enquiries(ctx, row.who, inc.ID)
			if got := !errors.Is(err, act.ErrForbidden); got != row.enquiries {
				t.Errorf("%s: enquiries %v", row.who.ID, err)
			}
			list, err := x.Timeline(ctx, row.who, inc.ID)
			ok(t, err)
			said := fmt.Sprint(list)
			for words, may := range map[string]bool{"REFUSED": row.decisions, "QUESTION": row.enquiries, "CUSTOMER": row.enquiries} {
				if strings.Contains(said, words) != may {
					t.Errorf("%s: the timeline says %q: %t, want %t", row.who.ID, words, !may, may)
				}
			}
		}
	})
}
