package console

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
)

// deed is what a group is ordered to do, as the pages call it.
type deed string

const (
	isolateAll deed = "isolate"
	releaseAll deed = "release"
	drillAll   deed = "drill"
)

// maxHits is how long a pasted hit list may be, in bytes.
const maxHits = 400 << 10

type groupNewView struct {
	Deed      deed
	Form      form
	Isolation isolationForm
	Incidents []incident.Incident // open ones
	Sites     []string
	Tags      []string
	Active    int // endpoints that are enrolled
	Two       bool
}

type groupPreviewView struct {
	Deed    deed
	Form    form
	Hidden  []fact // what was chosen, to be sent again
	Preview act.GroupPreview
	Members []previewMemberView
	Left    []previewMemberView // left out
	Rails   []act.GuardRail
	Changed bool
	Two     bool
}

type previewMemberView struct {
	endpointView
	LeftOut act.LeftOut
	Hints   act.Hints
	Rails   []act.GuardRail
}

func deedOf(value string) (deed, error) {
	if d := deed(value); slices.Contains([]deed{isolateAll, releaseAll, drillAll}, d) {
		return d, nil
	}
	return "", act.ErrNotFound
}

func (d deed) verb() dispatch.Verb {
	if d == releaseAll {
		return dispatch.Release
	}
	return dispatch.Isolate
}

// groupNewForm asks which endpoints are meant.
func (s *server) groupNewForm(v *visit) error {
	d, err := deedOf(v.r.PathValue("deed"))
	if err != nil {
		return err
	}
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	f := form{Values: map[string]string{}, Errors: map[string]string{}}
	if id := v.r.URL.Query().Get("incident"); id != "" {
		f.Values["in"], f.Values["incident"] = id, id
	}
	return s.showGroupNew(v, d, f, http.StatusOK)
}

func (s *server) showGroupNew(v *visit, d deed, f form, status int) error {
	all, err := s.everybody(v, act.Selection{All: true})
	if err != nil {
		return err
	}
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	settings, err := s.settings.IsolationSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := groupNewView{Deed: d, Form: f, Isolation: viewIsolationForm(f, v.now), Incidents: openOnes(incidents), Two: settings.NeedsTwo(v.now)}
	if d != drillAll {
		view.Incidents, _ = parted(view.Incidents)
	}
	sites, tags := map[string]bool{}, map[string]bool{}
	for _, m := range all {
		if m.LeftOut == act.LeftOutRevoked {
			continue
		}
		view.Active++
		if m.Endpoint.Site != "" {
			sites[m.Endpoint.Site] = true
		}
		for _, t := range m.Endpoint.Tags {
			tags[t] = true
		}
	}
	view.Sites, view.Tags = slices.Sorted(maps.Keys(sites)), slices.Sorted(maps.Keys(tags))
	p := s.page(v, "group_new", v.text.Text("group."+string(d)+".title"))
	p.Here = "/groups/new/" + string(d)
	return s.showStatus(v, status, p, view)
}

// everybody are the endpoints of a selection with their tags.
func (s *server) everybody(v *visit, sel act.Selection) ([]act.PreviewMember, error) {
	pv, err := s.groups.PreviewGroup(v.ctx(), v.actor, sel, act.GroupOrder{Verb: dispatch.Release})
	return pv.Members, err
}

// groupChosen reads what a person chose.
func (s *server) groupChosen(v *visit, d deed) (form, act.Selection, act.GroupOrder, []int, error) {
	fields := []field{
		{name: "all", max: 1, empty: true}, {name: "in", max: 64, empty: true}, {name: "site", max: 64, empty: true}, {name: "tag", max: 64, empty: true},
		{name: "names", kind: manyLines, max: maxHits, empty: true}, {name: "servers", max: 1, empty: true},
		{name: "reason", max: maxReason}, {name: "incident", max: 64, empty: true},
		{name: "break_glass", max: maxReason, empty: true}, {name: "confirmed", max: 64, empty: true},
	}
	if d == isolateAll {
		fields = append(fields, isolationFields()...)
	}
	var sel act.Selection
	var o act.GroupOrder
	f, err := readForm(v, fields...)
	if err != nil {
		return f, sel, o, nil, err
	}
	if d == isolateAll {
		f.takePermits(v)
	}
	sel = act.Selection{All: f.Values["all"] == "1", IncidentID: f.Values["in"], Site: f.Values["site"], Tag: f.Values["tag"]}
	for n := range strings.FieldsFuncSeq(f.Values["names"], func(r rune) bool { return strings.ContainsRune("\n,、，;\t", r) }) {
		if n = strings.TrimSpace(n); n != "" {
			sel.Names = append(sel.Names, n)
		}
	}
	if !sel.All && sel.IncidentID == "" && sel.Site == "" && sel.Tag == "" && len(sel.Names) == 0 && f.Errors["names"] == "" {
		f.Errors["who"] = v.text.Text("invalid.nobody_chosen")
	}
	o = act.GroupOrder{Order: act.Order{Reason: f.Values["reason"], IncidentID: f.Values["incident"], Confirmed: f.Values["confirmed"]},
		Verb: d.verb(), Servers: f.Values["servers"] == "1", BreakGlass: f.Values["break_glass"], OperatorAddr: operatorAddr(v.r)}
	var lines []int
	switch d {
	case drillAll:
		o.Reason = v.text.Text("drill.reason", "reason", o.Reason) // in every record of it
		o.Isolation = s.groups.Drill()
	case isolateAll:
		o.IsolateFirst = f.Values["isolate_first"] == "1"
		o.Isolation, lines, err = s.isolationOrdered(v, f)
	}
	return f, sel, o, lines, err
}

// groupPreview shows who is meant and what would break, before anything is ordered.
func (s *server) groupPreview(v *visit) error {
	d, err := deedOf(v.r.PathValue("deed"))
	if err != nil {
		return err
	}
	f, sel, o, lines, err := s.groupChosen(v, d)
	if err != nil {
		return err
	}
	if v.r.PostForm.Get("more") != "" || v.r.PostForm.Get("back") != "" {
		clear(f.Errors)
		return s.showGroupNew(v, d, f, http.StatusOK)
	}
	if !f.ok() {
		return s.showGroupNew(v, d, f, http.StatusUnprocessableEntity)
	}
	return s.showGroupPreview(v, d, f, sel, o, lines, http.StatusOK)
}

func (s *server) showGroupPreview(v *visit, d deed, f form, sel act.Selection, o act.GroupOrder, lines []int, status int) error {
	pv, err := s.groups.PreviewGroup(v.ctx(), v.actor, sel, o)
	if err != nil {
		if f.refuseIsolation(v, err, lines) {
			return s.showGroupNew(v, d, f, http.StatusUnprocessableEntity)
		}
		return err
	}
	view := groupPreviewView{Deed: d, Form: f, Preview: pv, Rails: pv.Rails, Changed: f.Errors["confirmed"] != "", Two: pv.Two && !slices.Contains(pv.Rails, act.RailAlone)}
	for _, m := range pv.Members {
		pm := previewMemberView{viewEndpoint(m.Endpoint, v.now), m.LeftOut, m.Hints, m.Rails}
		if m.LeftOut != "" {
			view.Left = append(view.Left, pm)
		} else {
			view.Members = append(view.Members, pm)
		}
	}
	// What breaks something stands where it is seen.
	slices.SortStableFunc(view.Members, func(a, b previewMemberView) int {
		return min(1, len(b.Hints.Services)+len(b.Rails)) - min(1, len(a.Hints.Services)+len(a.Rails))
	})
	for _, name := range slices.Sorted(maps.Keys(f.Values)) {
		if name != "break_glass" && name != "confirmed" && f.Values[name] != "" {
			view.Hidden = append(view.Hidden, fact{name, f.Values[name]})
		}
	}
	p := s.page(v, "group_preview", v.text.Text("title.group_preview"))
	p.Here = "/groups/new/" + string(d)
	return s.showStatus(v, status, p, view)
}

// groupOrder gives the order that was previewed.
func (s *server) groupOrder(v *visit) error {
	d, err := deedOf(v.r.PathValue("deed"))
	if err != nil {
		return err
	}
	f, sel, o, lines, err := s.groupChosen(v, d)
	if err != nil {
		return err
	}
	if f.Errors["break_glass"] != "" && len(f.Errors) == 1 {
		return s.showGroupPreview(v, d, f, sel, o, lines, http.StatusUnprocessableEntity)
	}
	if !f.ok() {
		return s.showGroupNew(v, d, f, http.StatusUnprocessableEntity)
	}
	g, err := s.groups.OrderGroup(v.ctx(), v.actor, sel, o)
	if w, waits := errors.AsType[*act.SecondPerson](err); waits {
		to := "/groups"
		if w.Group != nil {
			to += "/asked/" + w.Group.ID
		}
		if w.Handed {
			return s.done(v, "second.handed", to)
		}
		return s.done(v, "group.asked.done", to)
	}
	if err != nil {
		if !f.refuseIsolation(v, err, lines) {
			return err
		}
		if f.Errors["confirmed"] != "" || f.Errors["break_glass"] != "" || f.Errors["names"] != "" {
			return s.showGroupPreview(v, d, f, sel, o, lines, http.StatusUnprocessableEntity)
		}
		return s.showGroupNew(v, d, f, http.StatusUnprocessableEntity)
	}
	return s.done(v, "group."+string(d)+".done", "/groups/"+g.ID)
}

// Share is the share of the endpoints as text.
func (v groupPreviewView) Share() string { return strconv.Itoa(v.Preview.Share) }

// MaxShare is the share that the organisation allows at once, as text.
func (v groupPreviewView) MaxShare() string { return strconv.Itoa(v.Preview.MaxShare) }
