package console

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/incident"
	"hozen/internal/i18n"
)

type endpointPreserveView struct {
	Endpoint  endpointView
	Gate      act.Gate
	Lost      []string // translated: what switching off costs, as far as it is known
	Confirmed string   // fingerprint of what is shown
	Changed   bool     // what was confirmed is not so any more
	Old       bool     // the agent does not know the order
	Thens     []dispatch.Then
	Form      form
	Incidents []incident.Incident // open ones of this endpoint, to choose from
}

// thens are the choices, what most people come for first.
func thens() []dispatch.Then {
	return []dispatch.Then{dispatch.ThenPowerOff, dispatch.ThenReboot, dispatch.ThenNothing}
}

// endpointPreserveForm is the gate before a PC is switched off: it says what goes with
// it, asks what is to come after the evidence, and why.
func (s *server) endpointPreserveForm(v *visit) error {
	if !abilitiesOf(v.operator.Role).Order {
		return act.ErrForbidden
	}
	f := form{Values: map[string]string{"incident": v.r.URL.Query().Get("incident"), "then": string(dispatch.ThenPowerOff)}}
	return s.showPreserve(v, f, http.StatusOK)
}

func (s *server) showPreserve(v *visit, f form, status int) error {
	e, err := s.endpoints.Endpoint(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	incidents, err := s.incidents.Incidents(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	view := endpointPreserveView{Endpoint: viewEndpoint(e, v.now), Form: f, Thens: thens(), Changed: f.Errors["confirmed"] != ""}
	view.Incidents, _ = parted(touching(openOnes(incidents), e.ID)) // no PC goes down for a drill
	view.Gate, err = s.orders.PowerOffGate(v.ctx(), v.actor, e.ID)
	switch {
	case errors.Is(err, act.ErrTooOld):
		view.Old = true
	case err != nil:
		return err
	default:
		view.Lost, view.Confirmed = lost(v.text, view.Gate.Facts()), view.Gate.Fingerprint()
	}
	p := s.page(v, "endpoint_preserve", v.text.Text("order.preserve.title"))
	p.Here = "/endpoints/" + e.ID + "/order/preserve"
	return s.showStatus(v, status, p, view)
}

func (s *server) endpointPreserve(v *visit) error {
	f, err := readForm(v,
		field{name: "then", max: 16},
		field{name: "reason", max: maxReason},
		field{name: "incident", max: 64, empty: true},
		field{name: "confirmed", max: 64})
	if err != nil {
		return err
	}
	if !slices.Contains(thens(), dispatch.Then(f.Values["then"])) {
		f.Errors["then"] = v.text.Text("invalid.unknown")
	}
	if !f.ok() {
		return s.showPreserve(v, f, http.StatusUnprocessableEntity)
	}
	c, err := s.orders.Preserve(v.ctx(), v.actor, v.r.PathValue("id"), act.Order{
		Then: dispatch.Then(f.Values["then"]), Reason: f.Values["reason"], IncidentID: f.Values["incident"], Confirmed: f.Values["confirmed"],
	})
	if errors.Is(err, act.ErrTooOld) || errors.Is(err, act.ErrPending) {
		return s.showPreserve(v, f, http.StatusConflict)
	}
	if err != nil {
		if f.refuse(v, err) {
			return s.showPreserve(v, f, http.StatusUnprocessableEntity)
		}
		return err
	}
	return s.done(v, "order.preserve.done", "/endpoints/"+c.EndpointID+"?command="+url.QueryEscape(c.ID))
}

// commandWithdraw takes an order back that waits for its endpoint.
func (s *server) commandWithdraw(v *visit) error {
	f, err := readForm(v, field{name: "reason", max: maxReason, empty: true})
	if err != nil {
		return err
	}
	if !f.ok() {
		return act.ErrInvalid
	}
	c, err := s.orders.Command(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	err = s.orders.Withdraw(v.ctx(), v.actor, c.ID, f.Values["reason"])
	if errors.Is(err, act.ErrTooLate) {
		return &badRequest{http.StatusConflict, "too_late"}
	}
	if waits, ok := errors.AsType[*act.SecondPerson](err); ok && waits.Handed {
		return s.done(v, "second.handed", "/endpoints/"+c.EndpointID)
	} else if ok {
		return s.done(v, "release.asked.done", "/endpoints/"+c.EndpointID)
	}
	if err != nil {
		return err
	}
	return s.done(v, "command.withdraw.done", "/endpoints/"+c.EndpointID+"?command="+url.QueryEscape(c.ID))
}

// pending says which order to go down the facts of a gate speak of, if of one.
func pending(p i18n.Printer, facts map[string]string) string {
	if facts["gate_pending"] == "" {
		return ""
	}
	return p.Text("gate.pending", "then", optional(p, "then.", facts["gate_pending_then"]), "by", own(facts["gate_pending_by"], 80), "id", own(facts["gate_pending"], 64),
		"at", momentOr(p, facts["gate_pending_at"]), "until", momentOr(p, facts["gate_pending_until"]))
}

// momentOr writes a moment of a fact, or that it is not known.
func momentOr(p i18n.Printer, fact string) string {
	if fact == "" || fact == "unknown" {
		return p.Text("unknown")
	}
	return moment(fact)
}

// lost says in sentences what the facts of a gate say, see [act.Gate.Facts]. Facts
// that are not there make no sentence.
func lost(p i18n.Printer, facts map[string]string) []string {
	var out []string
	if s := pending(p, facts); s != "" {
		out = append(out, s)
	}
	say := func(key string, pairs ...string) { out = append(out, p.Text("gate."+key, pairs...)) }
	count := func(name string) string {
		n, err := strconv.ParseInt(facts[name], 10, 64)
		if err != nil {
			return p.Text("unknown")
		}
		return number(n)
	}
	if facts["gate_memory"] != "" {
		say("memory")
	}
	switch at := facts["gate_captured_at"]; at {
	case "":
	case "never":
		say("never", "since", momentOr(p, facts["gate_enrolled_at"]))
	default:
		say("counts", "at", momentOr(p, at), "processes", count("gate_processes"), "connections", count("gate_connections"), "sessions", count("gate_sessions"))
	}
	switch n := facts["gate_spooled"]; n {
	case "", "0":
	case "unknown":
		say("spooled.unknown")
	default:
		say("spooled", "n", count("gate_spooled"))
	}
	if state := facts["gate_isolation"]; state != "" {
		say("isolation", "state", optional(p, "isolation.state.", state), "at", momentOr(p, facts["gate_isolation_at"]))
	}
	if facts["gate_disk_encryption"] == "unknown" {
		say("disk")
	}
	return out
}
