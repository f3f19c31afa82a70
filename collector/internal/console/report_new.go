package console

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/internal/i18n"
)

// reportNewView is a draft with what can be added to it.
type reportNewView struct {
	Incident    incident.Incident
	May         abilities
	Kind        report.Kind
	Stages      []report.Stage
	Languages   []i18n.Language
	Language    i18n.Language // of the document
	Document    documentView
	Unprintable []string // "𠮷 → [U+20BB7]"
	Seen        string   // digest of the draft
	Changed     bool     // the facts changed since the draft that was looked at
	Form        form
}

// documentView is what a document says, for a page.
type documentView struct {
	report.Document
	Copy bool // its blocks are for copying
}

// Notes are the numbers of a sentence's sources.
func (documentView) Notes(s report.Sentence) []int { return s.Sources }

// addedPrefix is before the key of a block in the name of the field with words for it.
const addedPrefix = "added-"

func (s *server) reportNewForm(v *visit) error {
	q := v.r.URL.Query()
	f := form{Values: map[string]string{"language": q.Get("language"), "stage": q.Get("stage"), "era": q.Get("era")}, Errors: map[string]string{}}
	if f.Values["language"] == "" {
		f.Values["language"] = string(v.text.Language())
	}
	return s.showReportNew(v, f, false, http.StatusOK)
}

// newReport reads from a form which document is wanted.
func newReport(v *visit, f form) act.NewReport {
	n := act.NewReport{IncidentID: v.r.PathValue("id"), Kind: report.Kind(v.r.PathValue("kind")), Language: i18n.Language(f.Values["language"]), Stage: report.Stage(f.Values["stage"]),
		Era: f.Values["era"] != "", Seen: f.Values["seen"], Added: map[string]string{}}
	for name, words := range f.Values {
		if block, ok := strings.CutPrefix(name, addedPrefix); ok && words != "" {
			n.Added[block] = words
		}
	}
	return n
}

// showReportNew shows the draft. A form that says nothing of words yet begins with those of
// the newest version.
func (s *server) showReportNew(v *visit, f form, changed bool, status int) error {
	n := newReport(v, f)
	if !n.Kind.Valid() {
		return act.ErrNotFound
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, n.IncidentID)
	if err != nil {
		return err
	}
	if v.r.Method == http.MethodGet {
		if n.Added, err = s.wordsBefore(v, i.ID, &n); err != nil {
			return err
		}
		f.Values["stage"] = string(n.Stage)
		for block, words := range n.Added {
			n.Added[block] = seenWords(words)
			f.Values[addedPrefix+block] = n.Added[block]
		}
	}
	d, err := s.reports.DraftReport(v.ctx(), v.actor, n)
	if err != nil {
		if !f.refuse(v, err) {
			return err
		}
		// What cannot be drafted is shown without what was wrong.
		n.Language, n.Stage, n.Added, status = v.text.Language(), "", nil, http.StatusUnprocessableEntity
		if d, err = s.reports.DraftReport(v.ctx(), v.actor, n); err != nil {
			return err
		}
	}
	view := reportNewView{Incident: i, May: abilitiesOf(v.operator.Role), Kind: n.Kind, Stages: report.Stages(n.Kind), Languages: i18n.Languages(), Language: d.Language,
		Document: documentView{d, n.Kind.ToCopy()}, Changed: changed, Form: f}
	if view.Seen, err = d.Digest(); err != nil {
		return err
	}
	missing, err := d.Unprintable()
	if err != nil {
		return err
	}
	for _, r := range missing {
		view.Unprintable = append(view.Unprintable, fmt.Sprintf("%s → [U+%04X]", plain(string(r), 16), r))
	}
	p := s.page(v, "report_new", v.text.Text("report.kind."+string(n.Kind)))
	p.Here = "/incidents/" + i.ID + "/reports/new/" + string(n.Kind) + "?" + url.Values{"language": {string(d.Language)}, "stage": {string(d.Stage)}, "era": {f.Values["era"]}}.Encode()
	return s.showStatus(v, status, p, view)
}

// seenWords leaves out what nobody sees in words that people add to a document: it would
// stand in the field without being noticed.
func seenWords(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && hidden(r) {
			return -1
		}
		return r
	}, s)
}

// wordsBefore are the words that people put into the newest version of a document.
func (s *server) wordsBefore(v *visit, incidentID string, n *act.NewReport) (map[string]string, error) {
	list, err := s.reports.Reports(v.ctx(), v.actor, incidentID)
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		newest, ok := r.Newest()
		if r.Kind != n.Kind || r.Language != n.Language || !ok {
			continue
		}
		d, _, err := s.reports.IssuedDocument(v.ctx(), v.actor, r.ID, newest.Version)
		if err != nil {
			return nil, nil // what cannot be read any more is told on its own page
		}
		if n.Stage == "" {
			n.Stage = d.Stage
		}
		return d.Added, nil
	}
	return nil, nil
}

// reportNew shows a draft again with the words that were added, or issues it.
func (s *server) reportNew(v *visit) error {
	f, err := readForm(v, field{name: "language", max: 8}, field{name: "stage", max: 16, empty: true}, field{name: "era", max: 8, empty: true},
		field{name: "seen", max: 64, empty: true}, field{name: "deed", max: 16, empty: true})
	if err != nil {
		return err
	}
	const most = 40 // blocks of a document
	for name := range v.r.PostForm {
		if strings.HasPrefix(name, addedPrefix) && len(name) < 64 && len(f.Values) < most {
			f.take(v, field{name: name, kind: manyLines, max: report.MaxAdded, empty: true})
			f.Values[name] = seenWords(f.Values[name])
		}
	}
	if !f.ok() {
		return s.showReportNew(v, f, false, http.StatusUnprocessableEntity)
	}
	if f.Values["deed"] != "issue" {
		return s.showReportNew(v, f, false, http.StatusOK)
	}
	r, _, err := s.reports.IssueReport(v.ctx(), v.actor, newReport(v, f))
	switch {
	case err == nil:
		return s.done(v, "report.issued", reportPath(r))
	case errors.Is(err, act.ErrDraftChanged):
		return s.showReportNew(v, f, true, http.StatusConflict)
	case f.refuse(v, err):
		return s.showReportNew(v, f, false, http.StatusUnprocessableEntity)
	}
	return err
}
