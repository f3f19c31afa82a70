package console

import "hozen/collector/internal/operator"

type operatorListView struct {
	All    []operator.Operator
	Manage bool
	// Sessions is where people are signed in, by identifier; nil for those who may not know.
	Sessions map[string]int
}

func (s *server) operatorList(v *visit) error {
	all, err := s.people.Operators(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := operatorListView{All: all, Manage: abilitiesOf(v.operator.Role).People}
	if view.Manage {
		if view.Sessions, err = s.staff.SessionCounts(v.ctx(), v.actor); err != nil {
			return err
		}
	}
	return s.show(v, "operator_list", view)
}
