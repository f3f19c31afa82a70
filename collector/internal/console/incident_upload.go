package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
)

// Limits of what is sent as evidence.
const (
	maxPlainUpload = 4 << 30         // bytes of a file in one form; longer ones come in pieces
	maxUploadField = 64 << 10        // bytes of all other fields of such a form
	uploadStall    = time.Minute     // how long a file may stand still before it is given up
	uploadPiece    = 8 << 20         // bytes of one piece
	maxPiece       = 2 * uploadPiece // that is taken
)

type incidentUploadView struct {
	Incident incident.Incident
	Sources  []record.Source
	Received []record.Upload // newest first
	Arriving []arrivingView
	Form     form
	Piece    int
}

// arrivingView is a file of which a part is there.
type arrivingView struct {
	record.Upload
	Have int64
}

func (s *server) incidentUploadForm(v *visit) error {
	return s.showUpload(v, form{}, http.StatusOK)
}

func (s *server) showUpload(v *visit, f form, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := incidentUploadView{Incident: i, Sources: record.Sources(), Piece: uploadPiece}
	list, err := s.uploads.Uploads(v.ctx(), v.actor, i.ID)
	if err != nil {
		return err
	}
	slices.Reverse(list)
	for _, u := range list {
		if !u.ReceivedAt.IsZero() {
			view.Received = append(view.Received, u)
			continue
		}
		_, have, err := s.uploads.UploadState(v.ctx(), v.actor, u.ID)
		if err != nil {
			return err
		}
		view.Arriving = append(view.Arriving, arrivingView{u, have})
	}
	if f.Values == nil {
		source := record.Source(v.r.URL.Query().Get("source"))
		if !source.Valid() {
			source = record.Router
		}
		f.Values = map[string]string{"source": string(source), "person": v.operator.DisplayName, "taken_at": v.now.In(jst()).Format(localInput)}
	}
	view.Form = f
	p := s.page(v, "incident_upload", v.text.Text("title.incident_upload")+" "+i.Number)
	p.Here = "/incidents/" + i.ID + "/upload"
	return s.showStatus(v, status, p, view)
}

func uploadFields() []field {
	return []field{{name: "source", max: 32}, {name: "device", max: record.MaxName, empty: true}, {name: "person", max: record.MaxName}, {name: "taken_at", max: 32, empty: true},
		{name: "clock", max: 16, empty: true}, {name: "clock_offset", max: 16, empty: true}, {name: "clock_note", max: record.MaxName, empty: true}, {name: "description", kind: manyLines, max: record.MaxText, empty: true}}
}

// fileOf is what a form says of a file.
func fileOf(v *visit, f form) record.File {
	w := f.Values
	file := record.File{Source: record.Source(w["source"]), Device: w["device"], Person: w["person"], Description: w["description"], ClockNote: w["clock_note"]}
	if w["taken_at"] != "" {
		file.TakenAt = momentOf(v, f, "taken_at")
	}
	if w["clock"] == "known" {
		n, err := strconv.ParseFloat(w["clock_offset"], 64)
		if err != nil || n != n || n > 1e9 || n < -1e9 {
			f.Errors["clock_offset"] = v.text.Text("invalid.malformed")
		} else {
			file.ClockKnown, file.ClockOffset = true, time.Duration(n*float64(time.Second))
		}
	}
	return file
}

// incidentUpload takes a file in one form. The fields come before the file, so that what is
// wrong with them is known before gigabytes have come.
func (s *server) incidentUpload(v *visit) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	t, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return &badRequest{http.StatusUnsupportedMediaType, "form"}
	}
	body := http.MaxBytesReader(v.w, io.NopCloser(&patient{Reader: v.r.Body, w: v.w}), maxPlainUpload+maxUploadField)
	parts, values, room := multipart.NewReader(body, params["boundary"]), url.Values{}, int64(maxUploadField)
	for {
		part, err := parts.NextPart()
		if err != nil {
			return formFault(err)
		}
		if part.FormName() == "file" {
			return s.takeFile(v, part, values)
		}
		b, err := io.ReadAll(io.LimitReader(part, room+1))
		if err != nil {
			return formFault(err)
		}
		if room -= int64(len(b)); room < 0 {
			return &badRequest{http.StatusRequestEntityTooLarge, "too_large"}
		}
		values.Add(part.FormName(), string(b))
	}
}

// formFault is what a form that cannot be read is answered.
func formFault(err error) error {
	if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
		return &badRequest{http.StatusRequestEntityTooLarge, "too_large"}
	}
	return &badRequest{http.StatusBadRequest, "form"}
}

// takeFile takes the file of a form whose other fields were read.
func (s *server) takeFile(v *visit, part *multipart.Part, values url.Values) error {
	v.r.PostForm = values
	f := form{Values: map[string]string{}, Errors: map[string]string{}}
	f.take(v, uploadFields()...)
	file := fileOf(v, f)
	file.Name = part.FileName()
	first := make([]byte, 1)
	if n, _ := io.ReadFull(part, first); n == 0 {
		f.Errors["file"] = v.text.Text("invalid.required")
	}
	id := v.r.PathValue("id")
	if f.ok() {
		u, err := s.uploads.BeginUpload(v.ctx(), v.actor, act.NewUpload{File: file, IncidentID: id, Size: -1})
		if err == nil {
			if _, err = s.uploads.AppendUpload(v.ctx(), v.actor, u.ID, 0, io.MultiReader(bytes.NewReader(first), part)); err == nil {
				u, err = s.uploads.FinishUpload(v.ctx(), v.actor, u.ID)
			}
			if err != nil { // nobody can go on with a form
				err = errors.Join(err, s.uploads.DropUpload(context.WithoutCancel(v.ctx()), v.actor, u.ID))
			}
		}
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return &badRequest{http.StatusRequestEntityTooLarge, "upload_pieces"}
		}
		if err == nil {
			return s.done(v, "upload.received", "/incidents/"+id+"/upload#"+u.ID)
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showUpload(v, f, http.StatusUnprocessableEntity)
}

// patient lets a request take as long as bytes keep coming, and where until is not zero, not
// longer than that.
type patient struct {
	io.Reader
	w     http.ResponseWriter
	until time.Time
}

func (p *patient) Read(b []byte) (int, error) {
	rc := http.NewResponseController(p.w)
	now := time.Now()
	most := now.Add(uploadStall)
	if !p.until.IsZero() && p.until.Before(most) {
		most = p.until
	}
	if !now.Before(most) {
		return 0, fmt.Errorf("read what is sent: %w", os.ErrDeadlineExceeded)
	}
	_ = rc.SetReadDeadline(most) // of a server that has none, there is none to move
	_ = rc.SetWriteDeadline(now.Add(uploadStall + time.Minute))
	return p.Reader.Read(b)
}

// uploadAnswer is what the script of the page, or another program, hears.
type uploadAnswer struct {
	ID     string            `json:"id,omitempty"`
	Size   int64             `json:"size"`             // bytes that are there
	Where  string            `json:"where,omitempty"`  // page to go to when it is done
	Errors map[string]string `json:"errors,omitempty"` // translated, by field
}

func (s *server) answer(v *visit, status int, a uploadAnswer) error {
	b, err := json.Marshal(a)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "application/json")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b) // the browser went away: nobody to tell
	return nil
}

// uploadBegin begins a file that comes in pieces.
func (s *server) uploadBegin(v *visit) error {
	f, err := readForm(v, append(uploadFields(), field{name: "name", max: 1024, empty: true}, field{name: "size", max: 20})...)
	if err != nil {
		return err
	}
	file := fileOf(v, f)
	file.Name = f.Values["name"]
	n, err := strconv.ParseInt(f.Values["size"], 10, 64)
	if err != nil || n <= 0 {
		f.Errors["file"] = v.text.Text("invalid.required")
	}
	if f.ok() {
		u, err := s.uploads.BeginUpload(v.ctx(), v.actor, act.NewUpload{File: file, IncidentID: v.r.PathValue("id"), Size: n})
		if err == nil {
			return s.answer(v, http.StatusCreated, uploadAnswer{ID: u.ID})
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.answer(v, http.StatusUnprocessableEntity, uploadAnswer{Errors: f.Errors})
}

// uploadState tells how much of a file is there.
func (s *server) uploadState(v *visit) error {
	u, n, err := s.uploads.UploadState(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	return s.answer(v, http.StatusOK, uploadAnswer{ID: u.ID, Size: n})
}

// uploadAppend takes one piece. One that does not go on where the file ends is answered with
// where that is.
func (s *server) uploadAppend(v *visit) error {
	offset, err := strconv.ParseInt(v.r.URL.Query().Get("offset"), 10, 64)
	if err != nil || offset < 0 {
		return act.ErrInvalid
	}
	body := http.MaxBytesReader(v.w, io.NopCloser(&patient{Reader: v.r.Body, w: v.w}), maxPiece)
	n, err := s.uploads.AppendUpload(v.ctx(), v.actor, v.r.PathValue("id"), offset, body)
	switch {
	case errors.Is(err, act.ErrConflict):
		return s.answer(v, http.StatusConflict, uploadAnswer{Size: n})
	case err != nil:
		return err
	}
	return s.answer(v, http.StatusOK, uploadAnswer{Size: n})
}

// uploadFinish makes a file an exhibit whose bytes are all there.
func (s *server) uploadFinish(v *visit) error {
	if u, n, err := s.uploads.UploadState(v.ctx(), v.actor, v.r.PathValue("id")); err != nil {
		return err
	} else if u.Source == record.Stick { // a person says next what becomes of it
		return s.answer(v, http.StatusOK, uploadAnswer{ID: u.ID, Size: n, Where: stickPath(u, true)})
	}
	u, err := s.uploads.FinishUpload(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	s.sessions.Put(v.ctx(), keyFlash, "upload.received")
	return s.answer(v, http.StatusOK, uploadAnswer{ID: u.ID, Size: u.Size, Where: "/incidents/" + u.IncidentID + "/upload#" + u.ID})
}

// uploadDrop gives up a file of which only a part is there.
func (s *server) uploadDrop(v *visit) error {
	u, _, err := s.uploads.UploadState(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if err := s.uploads.DropUpload(v.ctx(), v.actor, u.ID); err != nil {
		return err
	}
	s.takings.forget(u.ID)
	return s.done(v, "upload.dropped", stickPath(u, false))
}

// uploadDownload sends a file that a person sent, exactly as it was received.
func (s *server) uploadDownload(v *visit) error {
	u, r, err := s.uploads.OpenUpload(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	defer r.Close()
	attachment(v.w.Header(), u.Exhibit+"_"+u.Name, "application/octet-stream")
	v.w.Header().Set("Content-Length", strconv.FormatInt(u.Size, 10))
	v.w.Header().Set("X-Hozen-Stored-Sha256", u.SHA256)
	return pour(v, r)
}
