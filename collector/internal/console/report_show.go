package console

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
)

// reportShowView is the page of one report: what its version says, what changed, who has it.
type reportShowView struct {
	report.Report
	Incident incident.Incident
	May      abilities
	Shown    report.Version
	Document *documentView // nil when its bytes cannot be read
	Before   int           // version that the changes are counted from; 0: there is none
	Changes  []report.Change
	History  []report.Version // newest first
	Sent     []report.Sending // newest first
	Channels []report.Channel
	Form     form
}

func (s *server) reportShow(v *visit) error { return s.showReport(v, form{}, http.StatusOK) }

func (s *server) showReport(v *visit, f form, status int) error {
	r, err := s.reportOf(v)
	if err != nil {
		return err
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, r.IncidentID)
	if err != nil {
		return err
	}
	view := reportShowView{Report: r, Incident: i, May: abilitiesOf(v.operator.Role), Channels: report.Channels(), Form: f}
	var ok bool
	if view.Shown, ok = r.Newest(); !ok {
		return act.ErrNotFound
	}
	if q := v.r.URL.Query().Get("version"); q != "" {
		n, err := strconv.Atoi(q)
		if err != nil {
			return act.ErrNotFound
		}
		if view.Shown, ok = r.Find(n); !ok {
			return act.ErrNotFound
		}
	}
	if f.Values == nil {
		view.Form.Values = map[string]string{"version": strconv.Itoa(view.Shown.Version), "sent_at": v.now.In(jst()).Format(localInput)}
	}
	if d, _, err := s.reports.IssuedDocument(v.ctx(), v.actor, r.ID, view.Shown.Version); err == nil {
		view.Document = &documentView{d, r.Kind.ToCopy()}
		if before, ok := r.Find(view.Shown.Version - 1); ok {
			if old, _, err := s.reports.IssuedDocument(v.ctx(), v.actor, r.ID, before.Version); err == nil {
				view.Before, view.Changes = before.Version, report.Differences(old, d)
			}
		}
	}
	view.History = slices.Clone(r.Versions)
	slices.Reverse(view.History)
	view.Sent = slices.Clone(r.Sendings)
	slices.Reverse(view.Sent)
	p := s.page(v, "report_show", r.Number)
	p.Here = reportPath(r)
	return s.showStatus(v, status, p, view)
}

// reportSent records to whom a version went.
func (s *server) reportSent(v *visit) error {
	f, err := readForm(v, field{name: "version", max: 8}, field{name: "recipient", max: report.MaxRecipient}, field{name: "channel", max: 16}, field{name: "sent_at", max: 32},
		field{name: "note", kind: manyLines, max: report.MaxNote, empty: true})
	if err != nil {
		return err
	}
	at, err := parseLocal(f.Values["sent_at"])
	if err != nil && f.Errors["sent_at"] == "" {
		f.Errors["sent_at"] = v.text.Text("invalid.time")
	}
	if at.After(v.now.Add(time.Minute)) {
		f.Errors["sent_at"] = v.text.Text("invalid.future")
	}
	version, err := strconv.Atoi(f.Values["version"])
	if err != nil {
		f.Errors["version"] = v.text.Text("invalid.malformed")
	}
	if f.ok() {
		r, err := s.reportOf(v)
		if err != nil {
			return err
		}
		err = s.reports.RecordSending(v.ctx(), v.actor, r.ID, act.SentReport{Version: version, Recipient: f.Values["recipient"], Channel: report.Channel(f.Values["channel"]), At: at, Note: f.Values["note"]})
		if err == nil {
			return s.done(v, "report.sent", reportPath(r)+"#sent")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showReport(v, f, http.StatusUnprocessableEntity)
}

// reportDownload sends one form of a version as it was issued.
func (s *server) reportDownload(v *visit) error {
	r, err := s.reportOf(v)
	if err != nil {
		return err
	}
	version, err := strconv.Atoi(v.r.PathValue("version"))
	if err != nil {
		return act.ErrNotFound
	}
	name, kind, suffix := reportForm(v.r.PathValue("format"))
	if name == "" {
		return act.ErrNotFound
	}
	b, _, err := s.reports.IssuedFile(v.ctx(), v.actor, r.ID, version, name)
	if err != nil {
		return err
	}
	attachment(v.w.Header(), r.Number+"-v"+strconv.Itoa(version)+"."+suffix, kind)
	v.w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = v.w.Write(b) // the browser went away: nobody to tell
	return nil
}

// reportForm is a form of a report by its name in an address.
func reportForm(format string) (name, contentType, suffix string) {
	switch format {
	case "pdf":
		return report.FormatPDF, "application/pdf", format
	case "docx":
		return report.FormatDOCX, "application/vnd.openxmlformats-officedocument.wordprocessingml.document", format
	case "txt":
		return report.FormatText, "text/plain; charset=utf-8", format
	case "json":
		return report.FormatModel, "application/json", format
	}
	return "", "", ""
}
