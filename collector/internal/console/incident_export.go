package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/export"
	"hozen/collector/internal/incident"
	"hozen/internal/envelope"
)

type incidentExportView struct {
	Incident  incident.Incident
	Endpoints []endpointView
	Profiles  []string
	Chosen    map[string]bool // endpoints and profiles that are ticked
	Packages  []packageView   // newest first
	Ready     string          // identifier of the package that was just ordered
	Evidence  int             // acquisitions of the incident
	Sent      int             // files that people sent to it and that are kept
	SentBytes int64
	Leave     bool // these are left out
	Form      form
	Keys      keysView
}

// packageView is a package that was ordered, with the public keys of its next download.
type packageView struct {
	export.Record
	Keys keysView
}

func (s *server) incidentExportForm(v *visit) error {
	return s.showIncidentExport(v, v.r.PathValue("id"), form{}, nil, http.StatusOK)
}

// showIncidentExport shows the form f of a new package, and the packages there are.
// refused has the forms of downloads that were refused, by package.
func (s *server) showIncidentExport(v *visit, incidentID string, f form, refused map[string]form, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, incidentID)
	if err != nil {
		return err
	}
	view := incidentExportView{Incident: i, Chosen: map[string]bool{}, Form: f, Keys: keysView{"keys", f}, Ready: v.r.URL.Query().Get("ready")}
	for _, id := range slices.Concat(v.r.PostForm["host"], v.r.PostForm["profile"]) {
		view.Chosen[id] = true
	}
	list, err := s.exports.Exports(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	for _, r := range list {
		g, ok := refused[r.ID]
		if !ok {
			g = form{Values: map[string]string{fieldKeys: s.keptKeys(v, r.ID)}}
		}
		view.Packages = append(view.Packages, packageView{r, keysView{"keys-" + r.ID, g}})
	}
	acquisitions, err := s.evidence.Acquisitions(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	view.Evidence = len(acquisitions)
	for _, a := range acquisitions {
		if !slices.Contains(view.Profiles, a.Profile) {
			view.Profiles = append(view.Profiles, a.Profile)
		}
	}
	slices.Sort(view.Profiles)
	sent, err := s.uploads.Uploads(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	for _, u := range sent {
		if !u.ReceivedAt.IsZero() && u.DisposedAt.IsZero() {
			view.Sent, view.SentBytes = view.Sent+1, view.SentBytes+u.Size
		}
	}
	view.Leave = v.r.PostForm.Get("leave_uploads") != ""
	for _, id := range i.EndpointIDs {
		e, err := s.endpoints.Endpoint(v.ctx(), v.actor, id)
		if err != nil {
			return err
		}
		view.Endpoints = append(view.Endpoints, viewEndpoint(e, v.now))
	}
	p := s.page(v, "incident_export", v.text.Text("title.incident_export"))
	p.Here = "/incidents/" + i.ID + "/export"
	return s.showStatus(v, status, p, view)
}

// maxTicks bounds the boxes that one form can tick.
const maxTicks = export.MaxScope

func (s *server) incidentExport(v *visit) error {
	f, err := readForm(v, field{name: "recipient", max: export.MaxRecipient}, field{name: "purpose", kind: manyLines, max: export.MaxPurpose})
	if err != nil {
		return err
	}
	to := f.takeKeys(v)
	n := act.NewExport{IncidentID: v.r.PathValue("id"), Recipient: f.Values["recipient"], Purpose: f.Values["purpose"], Hosts: v.r.PostForm["host"], Profiles: v.r.PostForm["profile"],
		LeaveUploads: v.r.PostForm.Get("leave_uploads") != ""}
	if len(n.Hosts)+len(n.Profiles) > maxTicks {
		f.Errors["hosts"] = v.text.Text("invalid.range")
	}
	if f.ok() {
		r, err := s.exports.OrderExport(v.ctx(), v.actor, n)
		if err == nil {
			s.keepKeys(v, r.ID, to)
			return s.done(v, "export.ordered", "/incidents/"+r.IncidentID+"/export?ready="+url.QueryEscape(r.ID)+"#packages")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showIncidentExport(v, n.IncidentID, f, nil, http.StatusUnprocessableEntity)
}

// exportDownload sends a package while it is made, encrypted to the public keys that the
// form names, or without a form to those that were given with the order.
func (s *server) exportDownload(v *visit) error {
	r, err := s.exports.Export(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	var to []envelope.Recipient
	if v.r.Method == http.MethodPost {
		f, err := readForm(v)
		if err != nil {
			return err
		}
		if to = f.takeKeys(v); !f.ok() {
			return s.showIncidentExport(v, r.IncidentID, form{}, map[string]form{r.ID: f}, http.StatusUnprocessableEntity)
		}
		s.keepKeys(v, r.ID, to)
	} else if kept := s.keptKeys(v, r.ID); kept != "" {
		if to, err = act.ParseRecipients(strings.Split(kept, "\n")); err != nil {
			return err
		}
	}
	name, kind := r.Number+".zip", "application/zip"
	if len(to) > 0 {
		name, kind = name+envelope.Suffix, "application/octet-stream"
	}
	if v.r.Method == http.MethodHead {
		attachment(v.w.Header(), name, kind)
		return nil
	}
	unhurried(v) // until the first byte; then each write has its own time
	w := &slowWriter{w: v.w, c: http.NewResponseController(v.w), begin: func() { attachment(v.w.Header(), name, kind) }}
	if len(to) > 0 {
		_, err = s.exports.WriteExportTo(v.ctx(), v.actor, r.ID, to, w)
	} else {
		_, err = s.exports.WriteExport(v.ctx(), v.actor, r.ID, w)
	}
	if err != nil && w.begun {
		// The browser must not take what it has for a whole file; without a length, only a
		// connection that breaks tells it so.
		panic(http.ErrAbortHandler)
	}
	return err
}

// slowWriter gives every write its own time, for downloads take as long as they take.
type slowWriter struct {
	w     http.ResponseWriter
	c     *http.ResponseController
	begin func()
	begun bool
}

func (s *slowWriter) Write(b []byte) (int, error) {
	if !s.begun {
		s.begin()
		s.begun = true
	}
	_ = s.c.SetWriteDeadline(time.Now().Add(downloadStall))
	return s.w.Write(b)
}
