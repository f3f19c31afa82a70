package console

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"hozen/collector/internal/act"
	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/dataset"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/internal/i18n"
)

// pageNames declares every page; a template that is not declared, or a declared one
// that is missing, stops the console at start.
func pageNames() []string {
	return []string{
		"about",
		"account",
		"api_tokens",
		"connection_map",
		"connection_table",
		"contact_edit",
		"contact_list",
		"dashboard",
		"drill_new",
		"drill_real",
		"drill_show",
		"endpoint_add",
		"endpoint_order",
		"endpoint_preserve",
		"endpoint_show",
		"error",
		"exhibit_dispose",
		"exhibit_new",
		"exhibit_show",
		"factor",
		"finding_list",
		"flight_table",
		"group_asked",
		"group_list",
		"group_new",
		"group_preview",
		"group_show",
		"help",
		"help_page",
		"incident_answer",
		"incident_close",
		"incident_deadlines",
		"incident_decisions",
		"incident_enquiries",
		"incident_export",
		"incident_lifecycle",
		"incident_list",
		"incident_new",
		"incident_playbook",
		"incident_record",
		"incident_show",
		"incident_timeline",
		"incident_upload",
		"isolation_settings",
		"kit_import",
		"kit_stick",
		"ledger_list",
		"ledger_outside",
		"link_list",
		"link_show",
		"notification_channel",
		"notifications",
		"operator_list",
		"operator_new",
		"operator_show",
		"own_steps",
		"password",
		"people_settings",
		"phone_photo",
		"phone_report",
		"process_show",
		"process_table",
		"process_tree",
		"record_table",
		"release_code",
		"report_fill", "report_list",
		"report_new",
		"report_show",
		"search", "search_evidence", "search_found",
		"sign_in",
		"sign_in_code",
		"triage_settings",
		"watch_list",
	}
}

// pages are the parsed templates, one set per language with that language bound into
// its functions: no request can meet the language of another.
type pages struct {
	sets map[i18n.Language]map[string]*template.Template
}

func loadPages(fsys fs.FS, texts i18n.Catalogue, a *assets) (*pages, error) {
	names, err := fs.Glob(fsys, "*.html")
	if err != nil {
		return nil, fmt.Errorf("list templates: %w", err)
	}
	var parts, found []string
	for _, n := range names {
		if strings.HasPrefix(n, "part_") {
			parts = append(parts, n)
		} else {
			found = append(found, strings.TrimSuffix(n, ".html"))
		}
	}
	if want := pageNames(); !slices.Equal(found, want) {
		return nil, fmt.Errorf("templates are %q, declared are %q", found, want)
	}
	p := &pages{sets: make(map[i18n.Language]map[string]*template.Template)}
	for _, l := range i18n.Languages() {
		base, err := template.New("base").Funcs(functions(texts.Printer(l), a)).Option("missingkey=error").ParseFS(fsys, parts...)
		if err != nil {
			return nil, fmt.Errorf("parse templates: %w", err)
		}
		p.sets[l] = make(map[string]*template.Template)
		for _, name := range found {
			t, err := base.Clone()
			if err == nil {
				t, err = t.ParseFS(fsys, name+".html")
			}
			if err != nil {
				return nil, fmt.Errorf("parse template %s: %w", name, err)
			}
			p.sets[l][name] = t
		}
	}
	return p, nil
}

// page is what the frame around every page needs; V is the page's own.
type page struct {
	Name     string // of the template
	Section  string // of the menu: endpoints, incidents, ledger, operators, or empty
	Title    string
	Lang     i18n.Language
	Here     string // path and query of this page, to come back to
	Operator operator.Operator
	Flash    string // translated, from the page before
	Refresh  int    // seconds after which a browser without JavaScript loads the page again; 0 never
	Live     string // query of the live stream; empty means that the page is not live
	Find     string // what was searched for
	Help     string // address of the section of the manual that tells of it; empty: none
	Version  string
	Now      time.Time
	// Drill is the drill that the page belongs to; nil: all is real.
	Drill *act.Marked
	V     any
}

func (s *server) page(v *visit, name, title string) page {
	p := page{Name: name, Section: section(name), Title: title, Lang: v.text.Language(), Here: "/", Operator: v.operator, Version: s.version.Version, Help: s.helpOf(name), Now: v.now}
	if v.r.Method == http.MethodGet {
		p.Here = local(v.r.URL.RequestURI())
	}
	return p
}

// section is the entry of the menu under which a page stands.
func section(name string) string {
	first, _, _ := strings.Cut(name, "_")
	switch first {
	case "dashboard", "endpoint", "group", "isolation", "release", "watch":
		return "endpoints"
	case "incident", "drill", "exhibit", "report", "process", "connection", "record", "flight", "finding":
		return "incidents"
	case "contact", "ledger", "operator":
		return first
	case "people", "api":
		return "operator"
	}
	return ""
}

// show answers with a page whose title has a text of its own, "title.<name>".
func (s *server) show(v *visit, name string, view any) error {
	return s.showStatus(v, http.StatusOK, s.page(v, name, v.text.Text("title."+name)), view)
}

func (s *server) showStatus(v *visit, status int, p page, view any) error {
	p.V = view
	p.Drill = s.drillOf(v)
	if v.operator.ID != "" && v.r.Method == http.MethodGet {
		if key := s.sessions.PopString(v.ctx(), keyFlash); key != "" {
			p.Flash = v.text.Text(key)
		}
	}
	return s.write(v, status, p.Name, p)
}

// write renders into memory first: a page is whole or it is an error, never half.
func (s *server) write(v *visit, status int, name string, p page) error {
	t, ok := s.pages.sets[p.Lang][name]
	if !ok {
		return fmt.Errorf("render %s: no such template", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "page", p); err != nil {
		return fmt.Errorf("render %s: %w", name, err)
	}
	h := v.w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	h.Set("Content-Language", string(p.Lang))
	h.Add("Vary", "Accept-Language, Cookie")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(b.Bytes()) // the browser went away: nobody to tell
	return nil
}

// functions are what templates may call; text and time come out in one language.
func functions(p i18n.Printer, a *assets) template.FuncMap {
	return template.FuncMap{
		"t":       p.Text,
		"tk":      func(prefix string, key any) string { return optional(p, prefix, fmt.Sprint(key)) },
		"asset":   a.url,
		"icon":    icon,
		"time":    timeTag,
		"clock":   clock,
		"ago":     func(now, at time.Time) string { return ago(p, now, at) },
		"span":    func(d time.Duration) string { return span(p, d) },
		"seconds": func(d time.Duration) string { return seconds(p, d) },
		"number":  func(n any) string { return number(toInt64(n)) },
		"size":    size,
		"short":   shortDigest,
		"cell":    func(s string) template.HTML { return inert(s, cellLimit, false) },
		"line":    func(s string) template.HTML { return inert(s, lineLimit, false) },
		"prose":   func(s string) template.HTML { return inert(s, textLimit, true) },
		"said":    said,
		"word":    func(prefix string, key any) template.HTML { return said(ownWord(p, prefix, fmt.Sprint(key))) },
		"bare":    unmarked,
		"own":     func(s string) string { return own(s, cellLimit) },
		"plain":   func(s string) string { return plain(s, cellLimit) },
		"lines":   func(ls []string) string { return strings.Join(ls, "\n") },
		"permit":  func(p dispatch.Permit) string { return permitTarget(p.Network) },
		"ports":   permitPorts,
		"initial": initial,
		"plus":    func(i int) int { return i + 1 },
		// The last part of a number such as INC-2026-0007-R01.
		"short_number": func(s string) string { return s[strings.LastIndexByte(s, '-')+1:] },
		// What is copied stands as it is: the document was made of it, and the page escapes it.
		"plaintext": func(s string) string { return s },
		"dict":      dict,
		"ofdrill":   incident.OfDrill,
		"say":       func(t dataset.Text) string { return t.In(string(p.Language())) },
		"dial":      contact.Dial,
		"weekday":   func(d calendar.Date) string { return p.Text("weekday." + strconv.Itoa(int(d.Weekday()))) },
	}
}

// optional returns the text of prefix+key, or key itself, made visible, where we have
// none: an agent that is newer than this console may name kinds that we don't know.
func optional(p i18n.Printer, prefix, key string) string {
	if p.Has(prefix + key) {
		return p.Text(prefix + key)
	}
	return plain(key, 64)
}

// ownWord is [optional] for [said].
func ownWord(p i18n.Printer, prefix, key string) string {
	if p.Has(prefix + key) {
		return p.Text(prefix + key)
	}
	return own(key, 64)
}

func toInt64(n any) int64 {
	switch n := n.(type) {
	case int:
		return int64(n)
	case int64:
		return n
	case uint32:
		return int64(n)
	case uint64:
		return int64(min(n, 1<<62))
	}
	return 0
}

// initial is the first letter of a name, for the round mark of a person.
func initial(s string) string {
	r, _ := utf8.DecodeRuneInString(s)
	if s == "" || hidden(r) {
		return "?"
	}
	return strings.ToUpper(string(r))
}

// dict makes the arguments of a part from pairs of name and value.
func dict(pairs ...any) (map[string]any, error) {
	if len(pairs)%2 != 0 {
		return nil, fmt.Errorf("dict: odd number of arguments")
	}
	m := make(map[string]any, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		name, ok := pairs[i].(string)
		if !ok {
			return nil, fmt.Errorf("dict: name %v is not a string", pairs[i])
		}
		m[name] = pairs[i+1]
	}
	return m, nil
}
