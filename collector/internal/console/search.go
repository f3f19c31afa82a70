package console

import (
	"html/template"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"hozen/collector/internal/act"
	"hozen/collector/internal/search"
)

// Limits of what a search shows.
const (
	firstHits   = 5   // of one kind, on the page of all kinds
	aroundHit   = 60  // characters before the first word that was found
	snippetSize = 200 // characters
)

type searchView struct {
	Text   string
	Asked  bool // something was searched for
	Open   bool // the contents of evidence may be searched
	Kind   act.HitKind
	Cut    bool
	Groups []hitGroup
	Total  int
}

// hitGroup are the hits of one kind, as many as the page shows.
type hitGroup struct {
	Kind  act.HitKind
	Count string // "5", or "200+"
	Hits  []hitView
	All   string // address of a page with more of them; empty: these are all
}

type hitView struct {
	Href     string // empty: there is no page of it
	Name     template.HTML
	Text     template.HTML
	Incident string // number
	Endpoint string // name
	search.Found
}

// search shows what was found in everything that somebody may see.
func (s *server) search(v *visit) error {
	q := v.r.URL.Query()
	kind := act.HitKind(q.Get("in"))
	text := q.Get("q")
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, " ")
	}
	view := searchView{Kind: kind, Open: abilitiesOf(v.operator.Role).Open}
	f, err := s.finds.Search(v.ctx(), v.actor, text, kind)
	if err != nil {
		return err
	}
	view.Text, view.Asked, view.Cut = f.Query.Text, !f.Query.Empty(), f.Cut
	for _, h := range f.Hits {
		g := hitGroup{Kind: h.Kind, Count: strconv.Itoa(len(h.List))}
		if h.More {
			g.Count += "+"
		}
		view.Total += len(h.List)
		shown := h.List
		if kind == "" && len(shown) > firstHits {
			shown = shown[:firstHits]
			g.All = "/search?q=" + url.QueryEscape(view.Text) + "&in=" + string(h.Kind)
		}
		for _, x := range shown {
			g.Hits = append(g.Hits, viewHit(v, f, h.Kind, x))
		}
		view.Groups = append(view.Groups, g)
	}
	p := s.page(v, "search", v.text.Text("title.search"))
	p.Find = view.Text
	return s.showStatus(v, http.StatusOK, p, view)
}

func viewHit(v *visit, f act.Findings, k act.HitKind, x search.Found) hitView {
	h := hitView{Found: x, Incident: f.Numbers[x.IncidentID], Endpoint: f.Names[x.EndpointID], Href: hitPath(k, x, abilitiesOf(v.operator.Role))}
	name, text := x.Name, x.Text
	switch k {
	case act.HitCommand:
		name = optional(v.text, "verb.", x.Name)
	case act.HitAnswer:
		name = optional(v.text, "record.item.", x.Name)
	case act.HitLedger:
		name = x.ID + " " + optional(v.text, "ledger.act.", x.Name)
	case act.HitIncident:
		name, text = x.Name+" "+x.Text, ""
	}
	if k == act.HitTimeline {
		name = x.Text // the words themselves are what one clicks on
		text = x.Name
	}
	h.Name = marked(f.Query, name)
	if text != "" {
		h.Text = marked(f.Query, text)
	}
	if k == act.HitIncident {
		h.Incident = ""
	}
	if k == act.HitEndpoint {
		h.Endpoint = ""
	}
	return h
}

// hitPath is the page where something that was found stands.
func hitPath(k act.HitKind, x search.Found, may abilities) string {
	short := func(s string) string { return url.PathEscape(s[strings.LastIndexByte(s, '-')+1:]) }
	in := "/incidents/" + url.PathEscape(x.IncidentID)
	switch k {
	case act.HitIncident:
		return in
	case act.HitEndpoint:
		return "/endpoints/" + url.PathEscape(x.ID)
	case act.HitEvidence:
		return "/evidence/" + url.PathEscape(x.ID)
	case act.HitAcquisition:
		return "/endpoints/" + url.PathEscape(x.EndpointID)
	case act.HitCommand:
		return "/endpoints/" + url.PathEscape(x.EndpointID) + "?command=" + url.QueryEscape(x.ID)
	case act.HitExhibit, act.HitUpload:
		return in + "/custody/" + short(x.Name)
	case act.HitTimeline:
		return in + "#timeline"
	case act.HitAnswer:
		return in + "/record"
	case act.HitDecision:
		return in + "/decisions"
	case act.HitEnquiry:
		return in + "/enquiries"
	case act.HitReport:
		return in + "/reports/" + short(x.Name)
	case act.HitContact:
		return "/contacts/" + url.PathEscape(x.ID)
	case act.HitPerson:
		if !may.People {
			return "/operators"
		}
		return "/operators/" + url.PathEscape(x.ID)
	case act.HitLedger:
		n, err := strconv.ParseInt(x.ID, 10, 64)
		if err != nil {
			return "/ledger"
		}
		return "/ledger?before=" + strconv.FormatInt(n+1, 10)
	}
	return ""
}

// marked is a part of a stranger's text around the first word that was found in it, inert,
// with what was found marked.
func marked(q search.Query, text string) template.HTML {
	spans := q.In(text)
	from := 0
	if len(spans) > 0 {
		from = before(text, spans[0].From, aroundHit)
	}
	var b strings.Builder
	if from > 0 {
		b.WriteString("…")
	}
	at, left := from, snippetSize
	piece := func(to int) {
		part := firstRunes(text[at:to], left)
		left -= utf8.RuneCountInString(part)
		at += len(part)
		b.WriteString(string(inert(part, snippetSize, false)))
	}
	for _, s := range spans {
		if at < s.From {
			piece(s.From)
		}
		if at != s.From || left == 0 {
			break
		}
		b.WriteString("<mark>")
		piece(s.To)
		b.WriteString("</mark>")
	}
	if left > 0 && at < len(text) {
		piece(len(text))
	}
	if at < len(text) {
		b.WriteString("…")
	}
	return template.HTML(b.String())
}

// before is where the part of a text begins that has n characters before a place.
func before(text string, at, n int) int {
	for ; n > 0 && at > 0; n-- {
		_, size := utf8.DecodeLastRuneInString(text[:at])
		at -= size
	}
	return at
}

func firstRunes(s string, n int) string {
	for i := range s {
		if n == 0 {
			return s[:i]
		}
		n--
	}
	return s
}
