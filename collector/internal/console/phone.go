package console

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"sync"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/phone"
)

// Limits of what comes by a link from people without an account.
const (
	maxPhotoForm  = phone.MaxAtOnce*phone.MaxPhoto + maxUploadField // bytes of one form
	maxPhoneForms = 8                                               // forms with photographs at one time; a phone takes a minute for one
	maxLinkForms  = 2                                               // of them by one link, so that one who has a link holds not all
	maxPhoneTime  = 15 * time.Minute                                // for one form, however its bytes come
)

// places are those for forms with photographs that come at one time.
type places struct {
	mu     sync.Mutex
	taken  int
	byLink map[string]int
}

// take takes a place for a form by a link, until done is called, or reports that there is none.
func (p *places) take(link string) (done func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken >= maxPhoneForms || p.byLink[link] >= maxLinkForms {
		return nil, false
	}
	p.taken++
	p.byLink[link]++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.taken--
		if p.byLink[link]--; p.byLink[link] == 0 {
			delete(p.byLink, link)
		}
	}, true
}

type phoneView struct {
	Page  act.LinkPage
	Token string
	Form  form
	Now   string // as a form writes it
	// Done is the number of the incident that a report went to, Sent how many photographs came.
	Done string
	Sent int
	// Refused are the photographs that were not taken, with the reason.
	Refused []refusedPhoto
	Most    int
}

type refusedPhoto struct{ Name, Why string }

// numberForm is what a number of an incident looks like.
var numberForm = regexp.MustCompile(`^INC-[0-9]{4}-[0-9]{4,8}$`)

// phoneForm is the page of a link. Whoever has the link may add something and sees nothing of
// what is there.
func (s *server) phoneForm(v *visit) error {
	q := v.r.URL.Query()
	view := phoneView{}
	if n := q.Get("done"); numberForm.MatchString(n) {
		view.Done = n
	}
	if n, err := strconv.Atoi(q.Get("sent")); err == nil && n > 0 && n <= phone.MaxAtOnce {
		view.Sent = n
	}
	return s.showPhone(v, view, http.StatusOK)
}

func (s *server) showPhone(v *visit, view phoneView, status int) error {
	view.Token = v.r.PathValue("token")
	var err error
	if view.Page, err = s.phones.OpenLink(v.ctx(), view.Token); err != nil {
		return s.phoneError(v, err)
	}
	view.Now, view.Most = v.now.In(jst()).Format(localInput), phone.MaxAtOnce
	name := "phone_report"
	if view.Page.Kind == phone.Photos {
		name = "phone_photo"
	}
	p := s.page(v, name, v.text.Text("title."+name))
	p.Here = "/r/" + view.Token
	return s.showStatus(v, status, p, view)
}

// phoneError tells somebody without an account why a link does nothing.
func (s *server) phoneError(v *visit, err error) error {
	switch {
	case errors.Is(err, act.ErrNotFound):
		s.errorPage(v, http.StatusNotFound, "link", "")
		return nil
	case errors.Is(err, act.ErrTooMany):
		v.w.Header().Set("Retry-After", "3600")
		s.errorPage(v, http.StatusTooManyRequests, "link_many", "")
		return nil
	}
	return err
}

// phoneReport takes a report.
func (s *server) phoneReport(v *visit) error {
	f, err := readForm(v, field{name: "what", kind: manyLines, max: phone.MaxText}, field{name: "contact", max: phone.MaxLine}, field{name: "computer", max: phone.MaxLine, empty: true}, field{name: "noticed", max: 32, empty: true})
	if err != nil {
		return err
	}
	r := act.LinkReport{Text: f.Values["what"], Contact: f.Values["contact"], Computer: f.Values["computer"]}
	if f.Values["noticed"] != "" {
		r.NoticedAt = momentOf(v, f, "noticed")
	}
	if f.ok() {
		number, err := s.phones.ReportByLink(v.ctx(), v.r.PathValue("token"), r, remoteHost(v.r))
		if err == nil {
			return redirect(v, "/r/"+v.r.PathValue("token")+"?done="+number)
		}
		if !f.refuse(v, err) {
			return s.phoneError(v, err)
		}
	}
	return s.showPhone(v, phoneView{Form: f}, http.StatusUnprocessableEntity)
}

// phonePhotos takes photographs, each as it comes. The name of the person comes before them.
func (s *server) phonePhotos(v *visit) error {
	token := v.r.PathValue("token")
	if _, err := s.phones.OpenLink(v.ctx(), token); err != nil { // before megabytes are read
		return s.phoneError(v, err)
	}
	done, ok := s.photos.take(token)
	if !ok {
		return s.phoneError(v, act.ErrTooMany)
	}
	defer done()
	t, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || t != "multipart/form-data" || params["boundary"] == "" {
		return &badRequest{http.StatusUnsupportedMediaType, "form"}
	}
	body := http.MaxBytesReader(v.w, io.NopCloser(&patient{Reader: v.r.Body, w: v.w, until: time.Now().Add(maxPhoneTime)}), maxPhotoForm)
	parts, values, room := multipart.NewReader(body, params["boundary"]), url.Values{}, int64(maxUploadField)
	view := phoneView{Form: form{Values: map[string]string{}, Errors: map[string]string{}}}
	for {
		part, err := parts.NextPart()
		if err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			return formFault(err)
		}
		if part.FormName() != "file" {
			b, err := io.ReadAll(io.LimitReader(part, room+1))
			if err != nil {
				return formFault(err)
			}
			if room -= int64(len(b)) + 64; room < 0 {
				return &badRequest{http.StatusRequestEntityTooLarge, "too_large"}
			}
			values.Add(part.FormName(), string(b))
			continue
		}
		if part.FileName() == "" {
			continue // nothing was chosen
		}
		if v.r.PostForm == nil {
			v.r.PostForm = values
			view.Form.take(v, field{name: "person", max: phone.MaxLine}, field{name: "about", max: phone.MaxLine, empty: true})
		}
		if !view.Form.ok() {
			continue // a browser hears nothing before it has sent everything
		}
		if err := s.takePhoto(v, &view, part); err != nil {
			_, _ = io.Copy(io.Discard, body) // as before
			return s.phoneError(v, err)
		}
	}
	switch {
	case v.r.PostForm == nil:
		v.r.PostForm = values
		view.Form.take(v, field{name: "person", max: phone.MaxLine}, field{name: "about", max: phone.MaxLine, empty: true})
		view.Form.Errors["file"] = v.text.Text("invalid.required")
	case view.Form.ok() && len(view.Refused) == 0:
		return redirect(v, "/r/"+token+"?sent="+strconv.Itoa(view.Sent))
	}
	return s.showPhone(v, view, http.StatusUnprocessableEntity)
}

// takePhoto takes one photograph of a form. What is wrong with it alone keeps no other from
// being taken.
func (s *server) takePhoto(v *visit, view *phoneView, part *multipart.Part) error {
	if n := view.Sent + len(view.Refused); n >= phone.MaxAtOnce {
		if n > 2*phone.MaxAtOnce {
			return nil // it has been said
		}
		view.Refused = append(view.Refused, refusedPhoto{plain(part.FileName(), 80), v.text.Text("invalid.too_many")})
		return nil
	}
	_, err := s.phones.PhotoByLink(v.ctx(), v.r.PathValue("token"), act.LinkPhoto{Name: part.FileName(), Person: view.Form.Values["person"], About: view.Form.Values["about"]}, part, remoteHost(v.r))
	if err == nil {
		view.Sent++
		return nil
	}
	invalid, ok := errors.AsType[*act.Invalid](err)
	if !ok {
		return err
	}
	why := "invalid.malformed"
	switch invalid.Code {
	case "not_image":
		why = "invalid.not_image"
	case "range":
		why = "invalid.photo_size"
	}
	view.Refused = append(view.Refused, refusedPhoto{plain(part.FileName(), 80), v.text.Text(why)})
	return nil
}
