package console

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/internal/i18n"
)

// isolationCard is what the page of an endpoint says of its isolation beyond the one
// word: what is in force, who may change it, and what became of what was tried. All
// times are by the collector's clock, as far as the agent's is known.
type isolationCard struct {
	InForce    bool      // something of ours is or should be in force
	Mode       string    // standard, selective, full; empty: not said
	Since      time.Time // zero: not known
	Issuer     string
	Until      time.Time // zero: until somebody releases
	LeaseUntil time.Time
	LeaseOver  bool
	Confirm    string // key: none, confirmed, waiting, missed
	ConfirmAt  time.Time
	Fallback   string // stay_closed, roll_back
	Held       string // key: here, elsewhere, nobody, open
	Volatile   bool   // the order would not survive a restart
	Permits    []dispatch.Permit
	Tunnels    []endpoint.Tunnel // times by the collector's clock
	Trials     []trialView
	Limits     []string // translated where it is one of ours
	Events     []isolationEventView
	Waiting    *dispatch.ReleaseAsked // a release that waits for a second person
	Mine       bool                   // it is the visitor's own
}

// trialView is one thing that was tried.
type trialView struct {
	endpoint.Trial
	Label  string
	Result string // key: cut, passes, leaks, shut, unknown
	Tone   string // class of the badge: ok, bad, unknown
	Age    string
}

// isolationEventView is something that happened to an isolation without an order.
type isolationEventView struct {
	endpoint.IsolationEvent
	Tone string // alert, bad, plain
}

const eventsShown = 20

// isolationCardOf gathers the card of an endpoint.
func (s *server) isolationCardOf(v *visit, e endpointView) (isolationCard, error) {
	m := e.Measured()
	byUs := e.ByUs
	c := isolationCard{Mode: m.More.Mode, Until: byUs(m.More.Until), LeaseUntil: byUs(m.More.LeaseUntil)}
	c.InForce = m.Desired == endpoint.Isolated || m.Observed == endpoint.Isolated || m.Observed == endpoint.Isolating
	c.LeaseOver = !c.LeaseUntil.IsZero() && c.LeaseUntil.Before(v.now)
	c.Held = cmp.Or(m.More.Held, "open")
	c.Volatile = c.InForce && c.Mode != "" && !m.More.Persisted
	c.Confirm = "none"
	if a := m.More.Confirmation; a != nil {
		c.Fallback = string(dispatch.StayClosed)
		if a.RollBack {
			c.Fallback = string(dispatch.RollBack)
		}
		switch {
		case !a.At.IsZero():
			c.Confirm, c.ConfirmAt = "confirmed", byUs(a.At)
		case !a.Missed.IsZero():
			c.Confirm, c.ConfirmAt = "missed", byUs(a.Missed)
		default:
			c.Confirm, c.ConfirmAt = "waiting", byUs(a.By)
		}
	}
	for _, t := range m.More.Tunnels {
		t.Since = byUs(t.Since)
		c.Tunnels = append(c.Tunnels, t)
	}
	for _, t := range m.More.Trials {
		c.Trials = append(c.Trials, viewTrial(v.text, t, m.More.Mode, v.now, byUs(t.At)))
	}
	rank := map[string]int{"leaks": 0, "shut": 1, "unknown": 2}
	slices.SortStableFunc(c.Trials, func(a, b trialView) int {
		of := func(t trialView) int {
			if n, ok := rank[t.Result]; ok {
				return n
			}
			return 9
		}
		return cmp.Compare(of(a), of(b))
	})
	for _, l := range m.More.Limits {
		c.Limits = append(c.Limits, limitText(v.text, l))
	}
	if err := s.isolationOrder(v, e, &c); err != nil {
		return c, err
	}
	events, err := s.isolation.IsolationEvents(v.ctx(), v.actor, e.ID, eventsShown)
	if err != nil {
		return c, err
	}
	for _, ev := range events {
		c.Events = append(c.Events, isolationEventView{ev, isolationEventTone(ev.Kind)})
	}
	asked, err := s.isolation.ReleaseWaiting(v.ctx(), v.actor, e.ID)
	switch {
	case errors.Is(err, act.ErrNotFound):
	case err != nil:
		return c, err
	default:
		c.Waiting, c.Mine = &asked, asked.AskedBy == v.operator.ID
	}
	return c, nil
}

// isolationOrder adds what the order says that the endpoint speaks of.
func (s *server) isolationOrder(v *visit, e endpointView, c *isolationCard) error {
	order, err := s.orderInForce(v, e)
	if err != nil || order == nil {
		return err
	}
	c.Issuer, c.Permits = order.Issuer, order.Isolation.Permits
	if order.Status == dispatch.Done && !order.FinishedAt.IsZero() {
		c.Since = e.ByUs(order.FinishedAt)
	}
	return nil
}

// orderInForce finds the order to isolate that an endpoint says it carries out; nil if
// it speaks of none.
func (s *server) orderInForce(v *visit, e endpointView) (*dispatch.Command, error) {
	m := e.Measured()
	if m.CommandID == "" || m.Desired != endpoint.Isolated && m.Observed != endpoint.Isolated {
		return nil, nil
	}
	order, err := s.orders.Command(v.ctx(), v.actor, m.CommandID)
	if errors.Is(err, act.ErrNotFound) || err == nil && (order.EndpointID != e.ID || order.Verb != dispatch.Isolate) {
		return nil, nil // the agent's word is no proof that there is such an order
	}
	if err != nil {
		return nil, err
	}
	return &order, nil
}

// viewTrial says what came of a trial in an isolation of a mode.
func viewTrial(p i18n.Printer, t endpoint.Trial, mode string, now, at time.Time) trialView {
	v := trialView{Label: trialLabel(p, t.Name), Tone: "unknown"}
	var age time.Duration
	if !at.IsZero() {
		v.Age, age = ago(p, now, at), now.Sub(at)
	}
	result, reason := t.Result(mode, age)
	t.Reason = reason
	v.Trial, v.Result = t, string(result)
	switch result {
	case endpoint.ResultCut, endpoint.ResultPasses:
		v.Tone = "ok"
	case endpoint.ResultLeaks, endpoint.ResultShut:
		v.Tone = "bad"
	}
	return v
}

// trialLabel names a trial by its code, such as "tcp4" or "raw6_bypass".
func trialLabel(p i18n.Printer, code string) string {
	for _, version := range []string{"4", "6"} {
		name, rest, ok := strings.Cut(code, version)
		if key := "trial." + name + rest; ok && p.Has(key) {
			return p.Text("trial.of", "what", p.Text(key), "version", version)
		}
	}
	return ownWord(p, "trial.", code)
}

// limitText is what a kernel cannot do, in the visitor's language where it is one of the
// limits that agents of today tell of.
func limitText(p i18n.Printer, limit string) string {
	for mark, key := range map[string]string{"no netdev tables": "isolation.limit.netdev", "no egress hook": "isolation.limit.egress", "cannot lock tables": "isolation.limit.hold"} {
		if strings.Contains(limit, mark) {
			return p.Text(key)
		}
	}
	return own(limit, 300)
}

// isolationEventTone is how an event is marked.
func isolationEventTone(k endpoint.IsolationEventKind) string {
	switch k {
	case endpoint.EventDrift, endpoint.EventNotInForce, endpoint.EventRecordLost, endpoint.EventLeak, endpoint.EventReleasedByUninstall:
		return "bad"
	case endpoint.EventReleasedByTime, endpoint.EventPermitEnded, endpoint.EventTunnelChanged:
		return "plain"
	}
	return "alert"
}

// isolationEventFacts are the facts of an entry about such an event that its sentence
// leaves out.
func isolationEventFacts(p i18n.Printer, f map[string]string) []string {
	var out []string
	if n := f["count"]; n != "" && n != "1" {
		out = append(out, p.Text("isolation.event.count", "n", plain(n, 12)))
	}
	if by := f["by"]; by != "" {
		out = append(out, p.Text("isolation.event.by", "by", own(by, 120)))
	}
	for _, name := range []string{"differences", "seen"} {
		if lines := f[name]; lines != "" {
			out = append(out, p.Text("isolation.event."+name, "what", own(strings.ReplaceAll(lines, "\n", " / "), 300)))
		}
	}
	return out
}
