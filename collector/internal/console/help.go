package console

import (
	"html/template"
	"net/http"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/manual"
	"hozen/internal/i18n"
)

// helpSections says for each page of the console which section of the manual tells of it.
func helpSections() map[string]string {
	return map[string]string{
		"about":                "glossary#words",
		"account":              "people#sign-in",
		"api_tokens":           "people#programs",
		"connection_map":       "evidence#view",
		"connection_table":     "evidence#view",
		"contact_edit":         "recording#contacts",
		"contact_list":         "recording#contacts",
		"dashboard":            "recording#overview",
		"drill_new":            "drill#playbook",
		"drill_real":           "drill#real",
		"drill_show":           "drill#result",
		"endpoint_add":         "endpoints#token",
		"endpoint_order":       "isolation#what",
		"endpoint_preserve":    "evidence#shutdown",
		"endpoint_show":        "endpoints#page",
		"error":                "collector-down#errors",
		"exhibit_dispose":      "evidence#keeping",
		"exhibit_new":          "evidence#custody",
		"exhibit_show":         "evidence#custody",
		"factor":               "people#second-factor",
		"finding_list":         "evidence#findings",
		"flight_table":         "evidence#view",
		"group_asked":          "isolation#many",
		"group_list":           "isolation#many",
		"group_new":            "isolation#many",
		"group_preview":        "isolation#many",
		"group_show":           "isolation#many",
		"incident_answer":      "recording#items",
		"incident_close":       "recording#close",
		"incident_deadlines":   "recording#deadlines",
		"incident_decisions":   "recording#decisions",
		"incident_enquiries":   "recording#enquiries",
		"incident_export":      "outside#export",
		"incident_lifecycle":   "recording#merge-split",
		"incident_list":        "recording#overview",
		"incident_new":         "recording#open",
		"incident_playbook":    "recording#playbook",
		"incident_record":      "recording#items",
		"incident_show":        "recording#incident",
		"incident_timeline":    "recording#incident",
		"incident_upload":      "evidence#upload",
		"isolation_settings":   "isolation#settings",
		"kit_import":           "usb-kit#import",
		"kit_stick":            "usb-kit#import",
		"ledger_list":          "recording#ledger",
		"ledger_outside":       "recording#outside",
		"link_list":            "recording#phone",
		"link_show":            "recording#phone",
		"notification_channel": "people#notifications",
		"notifications":        "people#notifications",
		"operator_list":        "people#add",
		"operator_new":         "people#add",
		"operator_show":        "people#add",
		"password":             "people#password",
		"people_settings":      "people#second-factor",
		"phone_photo":          "recording#phone",
		"phone_report":         "first-minutes#user",
		"process_show":         "evidence#view",
		"process_table":        "evidence#view",
		"process_tree":         "evidence#view",
		"record_table":         "evidence#view",
		"release_code":         "isolation#release-code",
		"report_fill":          "documents#excel",
		"report_list":          "documents#kinds",
		"report_new":           "documents#issue",
		"report_show":          "documents#sent",
		"search":               "recording#search",
		"search_evidence":      "recording#search-evidence",
		"search_found":         "recording#search-evidence",
		"sign_in":              "people#sign-in",
		"sign_in_code":         "people#second-factor",
		"own_steps":            "recording#own-steps",
		"triage_settings":      "evidence#privacy",
		"watch_list":           "care#watch",
	}
}

// helpOf is the address of the section of the manual that tells of a page; empty on the
// pages of the manual itself.
func (s *server) helpOf(name string) string {
	if to, ok := s.helps[name]; ok {
		return manual.Root + "/" + to
	}
	return ""
}

// loadManual reads the manual with the console's own words in it.
func loadManual(texts i18n.Catalogue) (*manual.Manual, error) {
	return manual.Load(func(l i18n.Language, key string) (string, bool) {
		p := texts.Printer(l)
		return p.Text(key), p.Has(key)
	})
}

type helpView struct {
	Pages []manual.Page
	Query string
	Hits  []manual.Hit
}

// help is the table of contents of the manual, and the search in it. Nothing secret is in
// the manual, so that whoever cannot sign in can read it.
func (s *server) help(v *visit) error {
	l := v.text.Language()
	view := helpView{Pages: s.manual.Pages(l), Query: strings.TrimSpace(v.r.URL.Query().Get("q"))}
	if len(view.Query) > maxQuery {
		return &badRequest{http.StatusUnprocessableEntity, "too_large"}
	}
	view.Hits = s.manual.Find(l, view.Query)
	return s.show(v, "help", view)
}

type helpPageView struct {
	*manual.Page
	Body           template.HTML
	Previous, Next *manual.Page
}

func (s *server) helpPage(v *visit) error {
	p, previous, next := s.manual.Page(v.text.Language(), v.r.PathValue("page"))
	if p == nil {
		return act.ErrNotFound
	}
	// Our own files, without any HTML in them; see package manual.
	view := helpPageView{p, template.HTML(p.HTML), previous, next}
	return s.showStatus(v, http.StatusOK, s.page(v, "help_page", p.Title), view)
}
