package console

import (
	"net/http"

	"hozen/internal/artifact"
)

// evidenceShow shows a piece of evidence in the way that suits its kind.
func (s *server) evidenceShow(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	switch f.Item.Kind {
	case artifact.KindProcess:
		return s.processTable(v, f)
	case artifact.KindNetConn:
		return s.connectionTable(v, f)
	case artifact.KindFlight:
		return s.flightTable(v, f)
	}
	return s.recordTable(v, f)
}

// evidenceRecords shows the records of any kind as they are.
func (s *server) evidenceRecords(v *visit) error {
	f, err := s.readEvidence(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.recordTable(v, f)
}

func (s *server) showEvidence(v *visit, name string, f evidenceFrame, view any) error {
	title := v.text.Text("title.evidence", "kind", optional(v.text, "kind.", string(f.Item.Kind)), "number", plain(f.Item.Number, 64))
	return s.showStatus(v, http.StatusOK, s.page(v, name, title), view)
}
