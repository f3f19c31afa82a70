package console

import (
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"hozen/collector/internal/act"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/internal/i18n"
)

// reportFillView is the page on which an official spreadsheet is filled.
type reportFillView struct {
	Incident incident.Incident
	Values   []formValue
	Form     form
	Detail   string // what is wrong with the file or the list, in English, for whoever mends it
}

// formValue is a value that a cell can have.
type formValue struct{ Name, Text string }

// maxFillBody is what a form with a workbook in it may have, in bytes.
const maxFillBody = report.MaxWorkbook + 256<<10

func (s *server) reportFillForm(v *visit) error {
	return s.showReportFill(v, form{Values: map[string]string{}}, "", http.StatusOK)
}

func (s *server) showReportFill(v *visit, f form, detail string, status int) error {
	if !abilitiesOf(v.operator.Role).Run {
		return act.ErrForbidden
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := reportFillView{Incident: i, Form: f, Detail: detail}
	values, err := s.forms.FormValues(v.ctx(), v.actor, act.NewForm{IncidentID: i.ID, Language: i18n.Japanese, Era: f.Values["era"] != ""})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		view.Values = append(view.Values, formValue{name, values[name]})
	}
	p := s.page(v, "report_fill", v.text.Text("title.report_fill"))
	p.Here = "/incidents/" + i.ID + "/reports/workbook"
	return s.showStatus(v, status, p, view)
}

// reportFill fills the workbook that is sent along and answers with it.
func (s *server) reportFill(v *visit) error {
	f, workbook, err := readWorkbook(v)
	if err != nil {
		return err
	}
	i, err := s.incidents.Incident(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	detail := ""
	if f.ok() {
		b, err := s.forms.FillForm(v.ctx(), v.actor, act.NewForm{IncidentID: i.ID, Language: i18n.Japanese, Era: f.Values["era"] != "", Workbook: workbook, Cells: f.Values["cells"]})
		if err == nil {
			attachment(v.w.Header(), i.Number+"_form.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet")
			_, _ = v.w.Write(b) // the browser went away: nobody to tell
			return nil
		}
		if !f.refuse(v, err) {
			return err
		}
		if invalid, ok := errors.AsType[*act.Invalid](err); ok {
			detail = invalid.Err.Error()
		}
	}
	return s.showReportFill(v, f, detail, http.StatusUnprocessableEntity)
}

// readWorkbook reads a form that has a file in it, without keeping anything on the disk.
func readWorkbook(v *visit) (f form, workbook []byte, err error) {
	f = form{Values: map[string]string{}, Errors: map[string]string{}}
	kind, params, err := mime.ParseMediaType(v.r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" {
		return f, nil, &badRequest{http.StatusUnsupportedMediaType, "form"}
	}
	parts := multipart.NewReader(v.r.Body, params["boundary"])
	for range 8 {
		p, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f, nil, tooLarge(err)
		}
		limit := int64(report.MaxCellLines)
		if p.FormName() == "workbook" {
			limit = report.MaxWorkbook
		}
		b, err := io.ReadAll(io.LimitReader(p, limit+1))
		if err != nil {
			return f, nil, tooLarge(err)
		}
		switch name := p.FormName(); {
		case int64(len(b)) > limit:
			f.Errors[name] = v.text.Text("invalid.too_long")
		case name == "workbook":
			workbook = b
		case name == "cells" || name == "era":
			text := strings.ReplaceAll(string(b), "\r\n", "\n")
			if !utf8.ValidString(text) {
				f.Errors[name] = v.text.Text("invalid.malformed")
				continue
			}
			f.Values[name] = seenWords(text)
		}
	}
	if len(workbook) == 0 && f.Errors["workbook"] == "" {
		f.Errors["workbook"] = v.text.Text("invalid.required")
	}
	return f, workbook, nil
}

func tooLarge(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &badRequest{http.StatusRequestEntityTooLarge, "too_large"}
	}
	return &badRequest{http.StatusBadRequest, "form"}
}
