package console

import "hozen/collector/internal/operator"

func (s *server) operatorList(v *visit) error {
	all, err := s.people.Operators(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	return s.show(v, "operator_list", struct {
		All    []operator.Operator
		Manage bool
	}{all, abilitiesOf(v.operator.Role).People})
}
