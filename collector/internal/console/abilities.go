package console

import (
	"slices"

	"hozen/collector/internal/operator"
)

// abilities are what a page offers to somebody. They only keep buttons away from
// people whom the acts would refuse; the acts decide.
type abilities struct {
	Order, Open, Note, Run, Enrol, Ledger, People, Hold bool
	// Decisions and Enquiries are the logs of an incident that somebody may read.
	Decisions, Enquiries bool
}

func abilitiesOf(r operator.Role) abilities {
	is := func(roles ...operator.Role) bool { return slices.Contains(roles, r) }
	staff := is(operator.Owner, operator.Responsible, operator.Handler)
	return abilities{
		Order: staff, Run: staff, Enrol: staff,
		Open:      staff || is(operator.Vendor),
		Note:      staff || is(operator.Vendor),
		Ledger:    staff || is(operator.Auditor),
		Decisions: staff || is(operator.Auditor), Enquiries: staff,
		People: is(operator.Owner, operator.Responsible),
		Hold:   is(operator.Owner, operator.Responsible),
	}
}
