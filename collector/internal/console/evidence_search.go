package console

import (
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/search"
	"hozen/internal/artifact"
)

type searchEvidenceView struct {
	Form      form
	Incidents []incident.Incident
	Whole     bool // the whole organisation may be searched
	Kinds     []artifact.Kind
	Chosen    map[artifact.Kind]bool
	Days      []int
	Own       []act.EvidenceSearch
	Numbers   map[string]string // of incidents
	Max       int               // characters
}

// scanIncidents is how many incidents can be chosen from, the newest.
const scanIncidents = 100

// scanDays are the times within which evidence was received that can be chosen; 0: whenever.
func scanDays() []int { return []int{0, 1, 7, 30, 90, 365} }

// searchEvidenceForm asks what to look for in the contents of evidence.
func (s *server) searchEvidenceForm(v *visit) error {
	q := v.r.URL.Query()
	f := form{Values: map[string]string{"text": search.Parse(q.Get("q")).Text, "incident": q.Get("incident"), "days": "0"}}
	return s.showSearchEvidence(v, f, nil, http.StatusOK)
}

func (s *server) showSearchEvidence(v *visit, f form, kinds []string, status int) error {
	own, err := s.scans.EvidenceSearches(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	all, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := searchEvidenceView{Form: f, Incidents: all[:min(len(all), scanIncidents)], Whole: abilitiesOf(v.operator.Role).Run, Kinds: act.ScanKinds(), Chosen: map[artifact.Kind]bool{},
		Days: scanDays(), Own: own, Numbers: map[string]string{}, Max: search.MaxText}
	for _, i := range all {
		view.Numbers[i.ID] = i.Number
	}
	for _, k := range kinds {
		view.Chosen[artifact.Kind(k)] = true
	}
	return s.showStatus(v, status, s.page(v, "search_evidence", v.text.Text("title.search_evidence")), view)
}

// searchEvidence begins to look for words in the contents of evidence.
func (s *server) searchEvidence(v *visit) error {
	f, err := readForm(v, field{name: "text", max: 4 * search.MaxText}, field{name: "incident", max: 64, empty: true}, field{name: "days", max: 8, empty: true})
	if err != nil {
		return err
	}
	n := act.NewEvidenceSearch{Text: f.Values["text"], IncidentID: f.Values["incident"]}
	for _, k := range v.r.PostForm["kind"] {
		n.Kinds = append(n.Kinds, artifact.Kind(k))
	}
	if d := f.Values["days"]; d != "" {
		if n.Days, err = strconv.Atoi(d); err != nil {
			f.Errors["days"] = v.text.Text("invalid.malformed")
		}
	}
	if f.ok() {
		begun, err := s.scans.SearchEvidence(v.ctx(), v.actor, n)
		if err == nil {
			return redirect(v, "/search/evidence/"+url.PathEscape(begun.ID))
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showSearchEvidence(v, f, v.r.PostForm["kind"], http.StatusUnprocessableEntity)
}

type searchFoundView struct {
	act.EvidenceSearch
	Running bool
	Groups  []foundGroup
	Lacks   []lackView
	Age     int // minutes for which results are kept
}

// openGroups is how many pieces show rows before anybody unfolds them, and openRows how many.
const (
	openGroups = 3
	openRows   = 5
)

// foundGroup is what was found in one piece of evidence.
type foundGroup struct {
	Item     evidence.Item
	Endpoint string
	Incident string // number
	Count    int
	Shown    []foundRow
	Folded   []foundRow
}

type foundRow struct {
	Line   int
	Values []foundValue
}

type foundValue struct {
	Field string
	Text  template.HTML
}

// lackView is why pieces were not searched, and which; of many the first.
type lackView struct {
	Lack  act.ScanLack
	Count int
	Items []evidence.Item
}

// lackItems is how many pieces that were not searched are named.
const lackItems = 20

// searchFound shows how far a search is and what it found. It never waits for it.
func (s *server) searchFound(v *visit) error {
	n, err := s.scans.EvidenceSearch(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	view := searchFoundView{EvidenceSearch: n, Running: n.State == act.ScanRunning, Age: int(act.DefaultScanBounds().Age.Minutes())}
	at := map[string]int{}
	for _, h := range n.Hits {
		i, ok := at[h.Item.ID]
		if !ok {
			i = len(view.Groups)
			at[h.Item.ID] = i
			view.Groups = append(view.Groups, foundGroup{Item: h.Item, Endpoint: n.Names[h.Item.EndpointID], Incident: n.Numbers[h.Item.IncidentID]})
		}
		row := foundRow{Line: h.Line}
		for _, value := range h.Values {
			row.Values = append(row.Values, foundValue{value.Field, marked(n.Query, value.Text)})
		}
		g := &view.Groups[i]
		if g.Count++; i < openGroups && g.Count <= openRows {
			g.Shown = append(g.Shown, row)
		} else {
			g.Folded = append(g.Folded, row)
		}
	}
	for _, l := range act.ScanLacks() {
		if items := n.Lacks[l]; len(items) > 0 {
			items = slices.Clone(items)
			view.Lacks = append(view.Lacks, lackView{l, len(items), items[:min(len(items), lackItems)]})
		}
	}
	p := s.page(v, "search_found", v.text.Text("title.search_found"))
	if view.Running {
		p.Live, p.Refresh = "all=1", 3
	}
	return s.showStatus(v, http.StatusOK, p, view)
}

// searchCancel ends a search; what it found stays.
func (s *server) searchCancel(v *visit) error {
	id := v.r.PathValue("id")
	if err := s.scans.CancelEvidenceSearch(v.ctx(), v.actor, id); err != nil {
		return err
	}
	return redirect(v, "/search/evidence/"+url.PathEscape(id))
}
