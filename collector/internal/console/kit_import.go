package console

import (
	"context"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/kit"
	"hozen/collector/internal/record"
	"hozen/internal/i18n"
	"hozen/internal/usbkit"
)

const (
	maxStickIncidents = 200 // that the form offers
	maxReceiptCodes   = 64  // on one form
)

type kitImportView struct {
	Incident string // identifier of the incident that the page was opened from; may be empty
	Arriving []arrivingView
	Form     form
	Piece    int
}

// kitImportForm asks for what is on a stick.
func (s *server) kitImportForm(v *visit) error {
	return s.showKitImport(v, v.r.URL.Query().Get("incident"), form{}, http.StatusOK)
}

func (s *server) showKitImport(v *visit, incidentID string, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	view := kitImportView{Form: f, Piece: uploadPiece}
	if incidentID != "" {
		i, err := s.incidents.Incident(v.ctx(), v.actor, incidentID)
		if err != nil {
			return err
		}
		view.Incident = i.ID
	}
	list, err := s.sticks.Sticks(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	for _, u := range list {
		_, have, err := s.uploads.UploadState(v.ctx(), v.actor, u.ID)
		if err != nil {
			return err
		}
		view.Arriving = append(view.Arriving, arrivingView{u, have})
	}
	p := s.page(v, "kit_import", v.text.Text("title.kit_import"))
	p.Here = "/kits/import"
	return s.showStatus(v, status, p, view)
}

// kitImport takes the zip in one form, of any size: what comes here is taken as it comes.
func (s *server) kitImport(v *visit) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	t, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return &badRequest{http.StatusUnsupportedMediaType, "form"}
	}
	body := http.MaxBytesReader(v.w, io.NopCloser(&patient{Reader: v.r.Body, w: v.w}), maxPlainUpload+maxUploadField)
	parts, incidentID := multipart.NewReader(body, params["boundary"]), ""
	for {
		part, err := parts.NextPart()
		if err != nil {
			return formFault(err)
		}
		switch part.FormName() {
		case "incident":
			b, err := io.ReadAll(io.LimitReader(part, 64))
			if err != nil {
				return formFault(err)
			}
			incidentID = string(b)
		case "file":
			return s.takeStick(v, part, incidentID)
		}
	}
}

func (s *server) takeStick(v *visit, part *multipart.Part, incidentID string) error {
	f := form{Values: map[string]string{}, Errors: map[string]string{}}
	if part.FileName() == "" {
		f.Errors["file"] = v.text.Text("invalid.required")
		return s.showKitImport(v, incidentID, f, http.StatusUnprocessableEntity)
	}
	u, err := s.sticks.BeginStick(v.ctx(), v.actor, act.NewStick{Name: part.FileName(), IncidentID: incidentID, Size: -1})
	if err == nil {
		if _, err = s.uploads.AppendUpload(v.ctx(), v.actor, u.ID, 0, part); err == nil {
			return s.done(v, "kit.stick.here", "/kits/import/"+u.ID)
		}
		err = errors.Join(err, s.uploads.DropUpload(context.WithoutCancel(v.ctx()), v.actor, u.ID)) // nobody can go on with a form
	}
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return &badRequest{http.StatusRequestEntityTooLarge, "upload_pieces"}
	}
	if f.refuse(v, err) {
		return s.showKitImport(v, incidentID, f, http.StatusUnprocessableEntity)
	}
	return err
}

// kitImportBegin begins a zip that comes in pieces; see [server.uploadBegin].
func (s *server) kitImportBegin(v *visit) error {
	f, err := readForm(v, field{name: "incident", max: 64, empty: true}, field{name: "name", max: record.MaxName, empty: true}, field{name: "size", max: 20})
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(f.Values["size"], 10, 64)
	if err != nil || n <= 0 {
		f.Errors["file"] = v.text.Text("invalid.required")
	}
	if f.ok() {
		u, err := s.sticks.BeginStick(v.ctx(), v.actor, act.NewStick{Name: f.Values["name"], IncidentID: f.Values["incident"], Size: n})
		if err == nil {
			return s.answer(v, http.StatusCreated, uploadAnswer{ID: u.ID})
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.answer(v, http.StatusUnprocessableEntity, uploadAnswer{Errors: f.Errors})
}

type kitStickView struct {
	Stick     arrivingView
	Whole     bool // as many bytes are there as were announced
	Running   bool // it is being taken in
	Incidents []incident.Incident
	Form      form
	Result    *stickResult // after an import
}

// stickResult is what became of a stick, in words.
type stickResult struct {
	act.Imported
	Kit     []string // problems of the kit itself
	Results []stickAcquisition
	Kept    bool // the zip is still there
}

type stickAcquisition struct {
	act.ImportedResult
	Problems []string
}

// kitStick asks where what came of a stick belongs, and for the codes on paper. Whoever asked
// for an import and did not wait for the answer is shown here what came of it.
func (s *server) kitStick(v *visit) error {
	t := s.takings.of(v.r.PathValue("id"))
	switch {
	case t.running || t.by != v.operator.ID:
	case t.err == nil:
		return s.showStick(v, form{}, resultOf(v, t.out), http.StatusOK)
	default:
		f := form{Errors: map[string]string{}}
		if !f.refuseStick(v, t.err) {
			f.Errors["file"] = v.text.Text("kit.import.failed")
		}
		return s.showStick(v, f, nil, http.StatusOK)
	}
	return s.showStick(v, form{}, nil, http.StatusOK)
}

func (s *server) showStick(v *visit, f form, result *stickResult, status int) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	view := kitStickView{Form: f, Result: result, Running: s.takings.of(v.r.PathValue("id")).running}
	u, have, err := s.uploads.UploadState(v.ctx(), v.actor, v.r.PathValue("id"))
	switch {
	case err == nil && u.Source == record.Stick:
		view.Stick, view.Whole = arrivingView{u, have}, have > 0 && (u.Announced < 0 || have == u.Announced)
	case err == nil || result == nil || !errors.Is(err, act.ErrNotFound):
		if err == nil {
			err = act.ErrNotFound
		}
		return err
	}
	if result != nil {
		result.Kept = err == nil
	}
	all, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(i incident.Incident) bool { return !i.ClosedAt.IsZero() })
	view.Incidents = all[:min(len(all), maxStickIncidents)]
	if view.Form.Values == nil {
		view.Form.Values = map[string]string{"incident": view.Stick.IncidentID}
	}
	p := s.page(v, "kit_stick", v.text.Text("title.kit_stick"))
	p.Here = "/kits/import/" + v.r.PathValue("id")
	return s.showStatus(v, status, p, view)
}

// kitStickImport takes in what is on a stick.
func (s *server) kitStickImport(v *visit) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	f, err := readForm(v, field{name: "incident", max: 64, empty: true}, field{name: "codes", kind: manyLines, max: 4096, empty: true}, field{name: "foreign", max: 8, empty: true})
	if err != nil {
		return err
	}
	o := act.ImportOrder{IncidentID: f.Values["incident"], AcceptForeign: f.Values["foreign"] != ""}
	for c := range strings.FieldsFuncSeq(f.Values["codes"], func(r rune) bool { return strings.ContainsRune("\n,;、，", r) }) {
		if c = strings.TrimSpace(c); c == "" {
			continue
		}
		if _, err := usbkit.ParseReceiptCode(c); err != nil || len(o.ReceiptCodes) == maxReceiptCodes {
			f.Errors["codes"] = v.text.Text("kit.code.malformed", "code", plain(c, 40))
			break
		}
		o.ReceiptCodes = append(o.ReceiptCodes, c)
	}
	if o.AcceptForeign && o.IncidentID == "" {
		f.Errors["incident"] = v.text.Text("kit.foreign.incident")
	}
	if !f.ok() {
		return s.showStick(v, f, nil, http.StatusUnprocessableEntity)
	}
	id := v.r.PathValue("id")
	if _, _, err := s.uploads.UploadState(v.ctx(), v.actor, id); err != nil {
		return err
	}
	if !s.takings.begin(id, v.operator.ID, v.now) {
		return s.showStick(v, f, nil, http.StatusConflict)
	}
	out, err := s.takeIn(v, id, o)
	if f.refuseStick(v, err) {
		return s.showStick(v, f, nil, http.StatusUnprocessableEntity)
	}
	if err != nil {
		return err
	}
	status := http.StatusOK
	if out.Wrong() {
		status = http.StatusUnprocessableEntity
	}
	delete(f.Values, "codes")
	return s.showStick(v, f, resultOf(v, out), status)
}

// takeIn takes in what is on a stick, all of it, whether the browser waits for it or not.
func (s *server) takeIn(v *visit, id string, o act.ImportOrder) (out act.Imported, err error) {
	defer unhurried(v)()
	left := false
	defer func() { s.takings.end(id, out, err, left) }()
	out, err = s.sticks.ImportStick(context.WithoutCancel(v.ctx()), v.actor, id, o)
	left = v.ctx().Err() != nil
	return out, err
}

// refuseStick puts into words why nothing of a stick was taken in.
func (f form) refuseStick(v *visit, err error) bool {
	invalid, is := errors.AsType[*act.Invalid](err)
	if !is {
		return false
	}
	switch invalid.Field {
	case "receipt_code":
		f.Errors["codes"] = v.text.Text("kit.code.wrong")
	case "stick":
		f.Errors["file"] = v.text.Text("kit.not_a_zip")
		if invalid.Code == "range" {
			f.Errors["file"] = v.text.Text("kit.too_many")
		}
	default:
		f.refuse(v, err)
	}
	return true
}

func resultOf(v *visit, out act.Imported) *stickResult {
	r := &stickResult{Imported: out}
	for _, p := range out.Problems {
		r.Kit = append(r.Kit, problemText(v.text, p))
	}
	for _, x := range out.Results {
		a := stickAcquisition{ImportedResult: x}
		for _, p := range x.Problems {
			a.Problems = append(a.Problems, problemText(v.text, p))
		}
		r.Results = append(r.Results, a)
	}
	return r
}

// problemText is one thing that is wrong with a stick in words.
func problemText(p i18n.Printer, x kit.Problem) string {
	key := "kit.problem." + x.Code
	if !p.Has(key) {
		key = "kit.problem.other"
	}
	return p.Text(key, "file", plain(x.File, 200), "code", x.Code, "detail", plain(x.Detail, 300))
}

// stickPath is where to go on with an upload that is done, or was given up.
func stickPath(u record.Upload, done bool) string {
	switch {
	case u.Source == record.Stick && done:
		return "/kits/import/" + u.ID
	case u.Source == record.Stick:
		return "/kits/import?incident=" + url.QueryEscape(u.IncidentID)
	}
	return "/incidents/" + u.IncidentID + "/upload"
}
