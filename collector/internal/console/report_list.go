package console

import (
	"net/http"
	"strconv"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
)

// reportListView is the page of an incident's documents.
type reportListView struct {
	Incident incident.Incident
	May      abilities
	Kinds    []reportKind // without the owner's page, which has a button of its own
	Reports  []report.Report
}

// reportKind is a document that can be written, and what was issued of it.
type reportKind struct {
	Kind   report.Kind
	Issued []report.Report
}

// reportPath is the address of a report's page.
func reportPath(r report.Report) string {
	return "/incidents/" + r.IncidentID + "/reports/" + reportShort(r)
}

// reportShort is the last part of a report's number, such as R01.
func reportShort(r report.Report) string { return r.Number[strings.LastIndexByte(r.Number, '-')+1:] }

// reportNo reads a part of an address such as R01.
func reportNo(s string) (int64, bool) {
	digits, ok := strings.CutPrefix(s, "R")
	n, err := strconv.ParseInt(digits, 10, 32)
	return n, ok && err == nil && n > 0
}

func (s *server) reportList(v *visit) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := reportListView{Incident: i, May: abilitiesOf(v.operator.Role)}
	if view.Reports, err = s.reports.Reports(v.ctx(), v.actor, i.ID); err != nil {
		return err
	}
	for _, k := range report.Kinds() {
		if k == report.Owner {
			continue
		}
		rk := reportKind{Kind: k}
		for _, r := range view.Reports {
			if r.Kind == k {
				rk.Issued = append(rk.Issued, r)
			}
		}
		view.Kinds = append(view.Kinds, rk)
	}
	p := s.page(v, "report_list", v.text.Text("title.report_list"))
	p.Here = "/incidents/" + i.ID + "/reports"
	return s.showStatus(v, http.StatusOK, p, view)
}

// custodyForm sends the custody form of all exhibits as they are now.
func (s *server) custodyForm(v *visit) error {
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	unhurried(v) // until the first byte; then each write has its own time
	w := &slowWriter{w: v.w, c: http.NewResponseController(v.w), begin: func() { attachment(v.w.Header(), i.Number+"_custody.pdf", "application/pdf") }}
	err = s.reports.CustodyForm(v.ctx(), v.actor, i.ID, w)
	if err != nil && w.begun {
		panic(http.ErrAbortHandler) // the browser must not take what it has for a whole file
	}
	return err
}

// reportOf finds the report that an address names.
func (s *server) reportOf(v *visit) (report.Report, error) {
	no, ok := reportNo(v.r.PathValue("no"))
	if !ok {
		return report.Report{}, act.ErrNotFound
	}
	list, err := s.reports.Reports(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return report.Report{}, err
	}
	for _, r := range list {
		if r.No == no {
			return r, nil
		}
	}
	return report.Report{}, act.ErrNotFound
}
