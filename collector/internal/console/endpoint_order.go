package console

import (
	"cmp"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/drill"
	"hozen/collector/internal/incident"
	"hozen/internal/profile"
)

type endpointOrderView struct {
	Endpoint  endpointView
	Verb      dispatch.Verb
	Form      form
	Incidents []incident.Incident // open ones of this endpoint, to choose from
	Must      bool                // a reason is required
	Change    bool                // of Isolate: it is isolated, and only the rules change
	Isolation isolationForm       // of Isolate
	Breaks    *breaksView         // of Isolate: what would break; nil when nothing is known to
	Two       bool                // of Release: it takes two persons
	Waiting   *dispatch.ReleaseAsked
	Mine      bool              // the visitor's own request waits
	Profiles  []profile.Profile // of Acquire, to choose from
	Process   *profile.Profile  // of Acquire: the memory of one process, where the system has that
	Drill     *act.Marked       // for which it is ordered; nil: for real
}

// breaksView is what would break if an endpoint were cut off.
type breaksView struct {
	Hints act.Hints
	Rails []act.GuardRail
}

// maxReason is how long the reason of an order may be, in bytes.
const maxReason = 1024

func verbOf(v *visit) (dispatch.Verb, error) {
	verb := dispatch.Verb(v.r.PathValue("verb"))
	if !slices.Contains([]dispatch.Verb{dispatch.Acquire, dispatch.Isolate, dispatch.Release}, verb) {
		return "", act.ErrNotFound
	}
	return verb, nil
}

// endpointOrderForm is the step between the button and the deed: it says in plain
// words what will happen and asks why.
func (s *server) endpointOrderForm(v *visit) error {
	verb, err := verbOf(v)
	if err != nil {
		return err
	}
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	f := form{Values: map[string]string{"incident": v.r.URL.Query().Get("incident")}, Errors: map[string]string{}}
	if verb == dispatch.Isolate && v.r.URL.Query().Get("change") != "" {
		if err := s.fillChange(v, f); err != nil {
			return err
		}
	}
	return s.showOrder(v, verb, f, http.StatusOK)
}

// fillChange fills in what is in force, for it to be changed.
func (s *server) fillChange(v *visit, f form) error {
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	order, err := s.orderInForce(v, viewEndpoint(e, v.now))
	if err != nil {
		return err
	}
	f.Values["change"] = "1"
	if order != nil {
		fromIsolation(f.Values, order.Isolation, v.now)
	}
	return nil
}

func (s *server) showOrder(v *visit, verb dispatch.Verb, f form, status int) error {
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := endpointOrderView{Endpoint: viewEndpoint(e, v.now), Verb: verb, Form: f, Must: verb != dispatch.Acquire}
	// A drill is never chosen from a list: whoever drills comes from it.
	view.Incidents, _ = parted(touching(openOnes(incidents), e.ID))
	if view.Drill, err = s.drillOrdered(v, f); err != nil {
		return err
	}
	if view.Drill != nil && f.Values["how"] == "" {
		f.Values["how"] = "simulate"
		if verb == dispatch.Acquire {
			f.Values["how"] = "real"
		}
	}
	title := "order." + string(verb) + ".title"
	switch verb {
	case dispatch.Isolate:
		view.Isolation = viewIsolationForm(f, v.now)
		if view.Change = f.Values["change"] != ""; view.Change {
			view.Isolation.Open, title = true, "order.change.title"
		}
		if view.Breaks, err = s.breaks(v, e.ID); err != nil {
			return err
		}
	case dispatch.Release:
		if err := s.fillRelease(v, e.ID, &view); err != nil {
			return err
		}
	case dispatch.Acquire:
		view.Profiles = profile.All()
		if e.OS == "windows" {
			one := profile.OfProcess()
			view.Process = &one
		}
		f.Values["profile"] = cmp.Or(f.Values["profile"], profile.Flash)
	}
	p := s.page(v, "endpoint_order", v.text.Text(title))
	p.Here = "/endpoints/" + e.ID + "/order/" + string(verb)
	return s.showStatus(v, status, p, view)
}

// breaks says what others use of an endpoint; nil if nothing is known to break.
func (s *server) breaks(v *visit, endpointID string) (*breaksView, error) {
	pv, err := s.groups.PreviewGroup(v.ctx(), v.actor, act.Selection{Names: []string{endpointID}}, act.GroupOrder{
		Verb: dispatch.Isolate, Servers: true, OperatorAddr: operatorAddr(v.r)})
	if err != nil {
		return nil, err
	}
	for _, m := range pv.Members {
		if m.Endpoint.ID == endpointID && len(m.Hints.Services)+len(m.Rails) > 0 {
			return &breaksView{m.Hints, m.Rails}, nil
		}
	}
	return nil, nil
}

// operatorAddr is where the person sits, as far as the connection tells; a proxy between
// hides it.
func operatorAddr(r *http.Request) netip.Addr {
	a, err := netip.ParseAddr(remoteHost(r))
	if err != nil {
		return netip.Addr{}
	}
	return a.Unmap().WithZone("")
}

func (s *server) fillRelease(v *visit, endpointID string, view *endpointOrderView) error {
	settings, err := s.settings.IsolationSettings(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view.Two = settings.NeedsTwo(v.now)
	asked, err := s.isolation.ReleaseWaiting(v.ctx(), v.actor, endpointID)
	if errors.Is(err, act.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	view.Waiting, view.Mine = &asked, asked.AskedBy == v.operator.ID
	return nil
}

func (s *server) endpointOrder(v *visit) error {
	verb, err := verbOf(v)
	if err != nil {
		return err
	}
	fields := []field{{name: "reason", max: maxReason, empty: verb == dispatch.Acquire}, {name: "incident", max: 64, empty: true}, {name: "how", max: 16, empty: true}}
	if verb == dispatch.Acquire {
		fields = append(fields, field{name: "profile", max: 64, empty: true}, field{name: "pid", max: 10, empty: true}, field{name: "start_ticks", max: 20, empty: true})
	}
	if verb == dispatch.Isolate {
		fields = append(fields, field{name: "change", max: 1, empty: true})
		fields = append(fields, isolationFields()...)
	}
	f, err := readForm(v, fields...)
	if err != nil {
		return err
	}
	if verb == dispatch.Isolate {
		f.takePermits(v)
	}
	drilled, err := s.drillOrdered(v, f)
	if err != nil {
		return err
	}
	if drilled != nil && (verb == dispatch.Release || f.Values["how"] != "real") {
		return s.orderSimulated(v, verb, f, *drilled)
	}
	order := act.Order{Reason: f.Values["reason"], IncidentID: f.Values["incident"], OperatorAddr: operatorAddr(v.r)}
	do := s.orders.Acquire
	var lines []int
	switch verb {
	case dispatch.Isolate:
		do = s.orders.Isolate
		order.IsolateFirst = f.Values["isolate_first"] == "1"
		if v.r.PostForm.Get("more") != "" {
			f.closeUp()
			clear(f.Errors) // nothing was sent yet, only more lines are wanted
			return s.showOrder(v, verb, f, http.StatusOK)
		}
		if order.Isolation, lines, err = s.isolationOrdered(v, f); err != nil {
			return err
		}
		order.Isolation.Drill = drilled != nil
	case dispatch.Release:
		do = s.orders.Release
	case dispatch.Acquire:
		order.Profile = profileOrdered(v, f)
	}
	if !f.ok() {
		return s.showOrder(v, verb, f, http.StatusUnprocessableEntity)
	}
	c, err := do(v.ctx(), v.actor, v.r.PathValue("id"), order)
	if waits, ok := errors.AsType[*act.SecondPerson](err); ok && waits.Handed {
		return s.done(v, "second.handed", "/endpoints/"+waits.Asked.EndpointID)
	} else if ok {
		return s.done(v, "release.asked.done", "/endpoints/"+waits.Asked.EndpointID)
	}
	if errors.Is(err, act.ErrLoosens) {
		f.Errors["loosens"] = v.text.Text("invalid.loosens")
		return s.showOrder(v, verb, f, http.StatusConflict)
	}
	if err != nil {
		if f.refuseIsolation(v, err, lines) {
			return s.showOrder(v, verb, f, http.StatusUnprocessableEntity)
		}
		return err
	}
	if drilled != nil {
		return s.done(v, "order."+string(verb)+".done", "/incidents/"+drilled.IncidentID)
	}
	return s.done(v, "order."+string(verb)+".done", "/endpoints/"+c.EndpointID+"?command="+url.QueryEscape(c.ID))
}

// profileOrdered is what is to be taken; of one process with that process in its name.
func profileOrdered(v *visit, f form) string {
	name := f.Values["profile"]
	if name != profile.Process {
		if _, err := profile.Find(name); name != "" && err != nil {
			f.Errors["profile"] = v.text.Text("invalid.unknown")
		}
		if f.Values["pid"] != "" || f.Values["start_ticks"] != "" {
			f.Errors["pid"] = v.text.Text("invalid.pid_alone")
		}
		return name
	}
	pid, err := strconv.ParseUint(f.Values["pid"], 10, 32)
	if err != nil || pid == 0 {
		f.Errors["pid"] = v.text.Text("invalid.malformed")
	}
	var ticks uint64
	if f.Values["start_ticks"] != "" {
		if ticks, err = strconv.ParseUint(f.Values["start_ticks"], 10, 52); err != nil {
			f.Errors["start_ticks"] = v.text.Text("invalid.malformed")
		}
	}
	return profile.ProcessName(uint32(pid), ticks)
}

// drillOrdered is the drill for which something is ordered; nil: it is real.
func (s *server) drillOrdered(v *visit, f form) (*act.Marked, error) {
	if f.Values["incident"] == "" {
		return nil, nil
	}
	m, err := s.drills.DrillMark(v.ctx(), v.actor, f.Values["incident"])
	if errors.Is(err, act.ErrNotFound) {
		return nil, nil
	}
	return &m, err
}

// orderSimulated records an order of a drill that nobody gets. A form that does not say how it
// is meant was filled in for real: it is shown again, and nothing is done.
func (s *server) orderSimulated(v *visit, verb dispatch.Verb, f form, m act.Marked) error {
	if f.Values["how"] == "" {
		return s.showOrder(v, verb, f, http.StatusOK)
	}
	if f.Values["how"] != "simulate" {
		f.Errors["how"] = v.text.Text("invalid.unknown")
	}
	if f.ok() {
		err := s.drills.StepDrill(v.ctx(), v.actor, m.IncidentID, act.DrillStep{What: drill.What(verb), EndpointID: v.r.PathValue("id"), Note: f.Values["reason"]})
		if err == nil {
			return s.done(v, "drill.step.done", "/incidents/"+m.IncidentID+"/drill")
		}
		if !f.refuse(v, err) {
			return err
		}
	}
	return s.showOrder(v, verb, f, http.StatusUnprocessableEntity)
}

// releaseRefuse ends a release that waits for a second person: refused by that one, or
// taken back by the first.
func (s *server) releaseRefuse(v *visit) error {
	f, err := readForm(v, field{name: "reason", max: maxReason, empty: true})
	if err != nil {
		return err
	}
	if !f.ok() {
		return act.ErrInvalid
	}
	id := v.r.PathValue("id")
	if err := s.isolation.RefuseRelease(v.ctx(), v.actor, id, f.Values["reason"]); err != nil {
		return err
	}
	return s.done(v, "release.ended", "/endpoints/"+id)
}
