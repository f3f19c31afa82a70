package console

func (s *server) enrolmentApprove(v *visit) error {
	if err := s.enrolment.ApproveEnrollment(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	}
	return s.done(v, "enrolment.approved", "/")
}

func (s *server) enrolmentReject(v *visit) error {
	if err := s.enrolment.RejectEnrollment(v.ctx(), v.actor, v.r.PathValue("id"), "rejected in the console"); err != nil {
		return err
	}
	return s.done(v, "enrolment.rejected", "/")
}
