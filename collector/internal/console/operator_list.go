package console

func (s *server) operatorList(v *visit) error {
	all, err := s.people.Operators(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	return s.show(v, "operator_list", all)
}
