package act

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
	"hozen/internal/releasecode"
)

// ErrSecondPerson is what a [*SecondPerson] is.
var ErrSecondPerson = fmt.Errorf("%w: the order waits for a second person", ErrConflict)

// SecondPerson is the answer to an order to release that waits for another person,
// who gives the same order. It is an [ErrSecondPerson].
type SecondPerson struct {
	Asked dispatch.ReleaseAsked
	Group *group.Asked // of an order to a group; nil otherwise
	// Handed means that who would agree may be who asked, see handed.
	Handed bool
}

func (e *SecondPerson) Error() string {
	if e.Group != nil {
		return "the order waits for a second person, asked for by " + e.Group.AskedName
	}
	return "the release waits for a second person, asked for by " + e.Asked.AskedName
}

// Unwrap makes errors.Is(err, ErrSecondPerson) true.
func (e *SecondPerson) Unwrap() error { return ErrSecondPerson }

// Release orders the network to be given back. Where the organisation wants two persons
// for that, the first one's order is kept and answered by [*SecondPerson], and the same
// order of another one within [dispatch.ReleaseWaits] is carried out. Who acts at the
// collector's own machine with a reason needs no second one, and neither does the only
// person who could; the ledger tells.
func (s *Acts) Release(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	settings, err := s.isolationSettings(ctx, a, mayRelease)
	if err != nil {
		return dispatch.Command{}, err
	}
	c := dispatch.Command{ID: id.New(id.Command), Verb: dispatch.Release, Isolation: dispatch.Isolation{Notice: o.Isolation.Notice}}
	if c.Isolation.Notice == (dispatch.Notice{}) {
		c.Isolation.Notice = dispatch.Notice{Text: settings.NoticeText, Phone: settings.NoticePhone}
	}
	check := o.check
	o.check = func(ctx context.Context, d *deed, e endpoint.Endpoint) (map[string]string, error) {
		facts := map[string]string{}
		if check != nil {
			more, err := check(ctx, d, e)
			if err != nil {
				return nil, err
			}
			maps.Copy(facts, more)
		}
		second, err := s.agreed(ctx, d, e, c.ID, o.Reason)
		maps.Copy(facts, second)
		return facts, err
	}
	stored, err := s.order(ctx, a, mayRelease, endpointID, c, o)
	var waits *SecondPerson
	if errors.As(err, &waits) && waits.Asked.ID == "" {
		return stored, s.askRelease(ctx, a, endpointID, o)
	}
	return stored, err
}

// agreed finds out whether a release may be ordered now, and by whose agreement.
func (s *Acts) agreed(ctx context.Context, d *deed, e endpoint.Endpoint, commandID, reason string) (map[string]string, error) {
	settings, err := organisation.FindIsolation(ctx, d.tx, e.OrganisationID)
	if err != nil || !settings.NeedsTwo(d.now) || d.actor.Kind != ByOperator {
		return nil, err
	}
	asked, err := dispatch.WaitingRelease(ctx, d.tx, e.ID, d.now)
	switch none := errors.Is(err, dispatch.ErrNotFound); {
	case d.second != nil && none: // agreed for the whole group
		return d.second, nil
	case err != nil && !none:
		return nil, err
	case d.actor.token != "": // a program asks; people agree
		return nil, &SecondPerson{Asked: asked}
	case d.second != nil: // what was asked for this one ends with it
	case none, asked.AskedBy == d.actor.ID:
		if only, err := s.alone(ctx, d.tx, d.actor, mayRelease, d.now); err != nil || !only {
			return nil, errors.Join(err, &SecondPerson{Asked: asked})
		}
		return byOneself(reason)
	default:
		if one, err := handed(ctx, d.tx, asked.AskedBy, d.actor.ID, d.now); err != nil || one {
			return nil, errors.Join(err, &SecondPerson{Asked: asked, Handed: true})
		}
	}
	asked.DecidedBy, asked.DecidedName, asked.DecidedAt = d.actor.ID, d.actor.Name, d.now
	asked.Decision, asked.CommandID = dispatch.ReleaseAgreed, commandID
	facts := map[string]string{"asked_by": asked.AskedBy, "asked_name": asked.AskedName, "asked_reason": asked.Reason}
	if d.second != nil {
		facts = d.second
	}
	facts = with(facts, dispatch.ReleaseID, asked.ID)
	return facts, dispatch.DecideRelease(ctx, d.tx, asked)
}

// askRelease keeps what the first person ordered, and answers with [*SecondPerson].
func (s *Acts) askRelease(ctx context.Context, a Actor, endpointID string, o Order) error {
	var asked dispatch.ReleaseAsked
	err := s.write(ctx, a, mayRelease, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, endpointID)
		if err != nil {
			return err
		}
		if old, err := dispatch.WaitingRelease(ctx, d.tx, e.ID, d.now); err == nil {
			return &SecondPerson{Asked: old} // somebody was faster
		} else if !errors.Is(err, dispatch.ErrNotFound) {
			return err
		}
		asked, err = s.asks(ctx, d, e, o)
		return err
	})
	if err != nil {
		return err
	}
	return &SecondPerson{Asked: asked}
}

// asks stores that somebody asks for the release of an endpoint.
func (s *Acts) asks(ctx context.Context, d *deed, e endpoint.Endpoint, o Order) (dispatch.ReleaseAsked, error) {
	inc, err := s.incidentFor(ctx, d, e, o.IncidentID, false)
	if err == nil {
		err = mayInDrill(inc, dispatch.Command{Verb: dispatch.Release})
	}
	if err != nil {
		return dispatch.ReleaseAsked{}, err
	}
	asked := dispatch.ReleaseAsked{ID: id.New(id.Release), OrganisationID: e.OrganisationID, EndpointID: e.ID, IncidentID: inc.ID, Reason: o.Reason,
		AskedBy: d.actor.ID, AskedName: d.actor.Name, AskedAt: d.now}
	if err := dispatch.InsertRelease(ctx, d.tx, asked); err != nil {
		return asked, err
	}
	facts := map[string]string{"command": "ask_release", "endpoint": e.ID, "release": asked.ID}
	idx, err := d.record(ctx, dispatch.ActAsk, e.ID, with(with(facts, "reason", o.Reason), dispatch.ReleaseOf, inc.ID))
	if err != nil {
		return asked, err
	}
	d.tell(s, Event{Kind: EventCommand, EndpointID: e.ID, IncidentID: inc.ID})
	return asked, s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryCommand, Text: o.Reason, Params: facts, LedgerIdx: idx})
}

// askReleaseIn asks for the release of a member of a group, unless somebody did.
func (s *Acts) askReleaseIn(ctx context.Context, d *deed, e endpoint.Endpoint, o Order) error {
	_, err := dispatch.WaitingRelease(ctx, d.tx, e.ID, d.now)
	if errors.Is(err, dispatch.ErrNotFound) {
		_, err = s.asks(ctx, d, e, o)
	}
	return err
}

func with(facts map[string]string, key, value string) map[string]string {
	m := maps.Clone(facts)
	m[key] = value
	return m
}

// ReleaseWaiting returns the release of an endpoint that waits for a second person. The
// error is [ErrNotFound] if none does.
func (s *Acts) ReleaseWaiting(ctx context.Context, a Actor, endpointID string) (dispatch.ReleaseAsked, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (dispatch.ReleaseAsked, error) {
		r, err := dispatch.WaitingRelease(ctx, q, endpointID, s.now())
		if err != nil {
			return r, err
		}
		return r, a.own(r.OrganisationID)
	})
}

// RefuseRelease ends a release that waits for a second person, by that one or by the
// first, who takes it back.
func (s *Acts) RefuseRelease(ctx context.Context, a Actor, endpointID, reason string) error {
	if err := a.person(); err != nil {
		return err
	}
	if err := text("reason", reason, dispatch.MaxReason, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayRelease, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, endpointID)
		if err != nil {
			return err
		}
		asked, err := dispatch.WaitingRelease(ctx, d.tx, e.ID, d.now)
		if err != nil {
			return err
		}
		asked.DecidedBy, asked.DecidedName, asked.DecidedAt, asked.Decision = d.actor.ID, d.actor.Name, d.now, dispatch.ReleaseRefused
		if err := dispatch.DecideRelease(ctx, d.tx, asked); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventCommand, EndpointID: e.ID, IncidentID: asked.IncidentID})
		facts := map[string]string{"command": "refuse_release", "endpoint": e.ID, "release": asked.ID, "asked_by": asked.AskedBy}
		idx, err := d.record(ctx, dispatch.ActRefuse, e.ID, with(facts, "reason", reason))
		if err != nil || asked.IncidentID == "" {
			return err
		}
		return s.line(ctx, d, incident.Incident{ID: asked.IncidentID, OrganisationID: e.OrganisationID}, e.ID,
			incident.Entry{Kind: incident.EntryCommand, Text: reason, Params: facts, LedgerIdx: idx})
	})
}

// ShownCode is a release code that was shown to somebody.
type ShownCode struct {
	Number    string // in groups, as the endpoint shows it
	Code      string // in groups, as it is spoken
	CommandID string // the order to isolate that it ends
	OrderedAt time.Time
}

// ShowReleaseCode shows the code by which the isolation of an endpoint is released at the
// endpoint, without the collector. The number is the one that the endpoint shows: it says
// which order is in force there, which the collector may not know. Whoever may release may
// see the code, and the ledger keeps who did and why. Where a release needs two persons,
// somebody else must have asked for it. The error is [Invalid] with the field "number" for
// a number of no order to this endpoint.
func (s *Acts) ShowReleaseCode(ctx context.Context, a Actor, endpointID, number, reason string) (ShownCode, error) {
	if err := a.person(); err != nil {
		return ShownCode{}, err
	}
	if err := text("reason", reason, dispatch.MaxReason, true); err != nil {
		return ShownCode{}, err
	}
	number, err := releasecode.ParseNumber(number)
	if err != nil {
		return ShownCode{}, &Invalid{Field: "number", Code: "malformed", Err: err}
	}
	if s.recovery == nil {
		return ShownCode{}, fmt.Errorf("%w: this collector has no recovery key", ErrNotFound)
	}
	var shown ShownCode
	err = s.write(ctx, a, mayRelease, func(ctx context.Context, d *deed) error {
		e, err := d.endpoint(ctx, endpointID)
		if err != nil {
			return err
		}
		c, err := orderWithCode(ctx, d, e, number)
		if err != nil {
			return err
		}
		settings, err := organisation.FindIsolation(ctx, d.tx, e.OrganisationID)
		if err != nil {
			return err
		}
		facts := map[string]string{"endpoint": e.ID, "command_id": c.ID, "code_number": c.Isolation.Code.Number, "reason": reason}
		if settings.NeedsTwo(d.now) && d.actor.Kind == ByOperator {
			asked, err := dispatch.WaitingRelease(ctx, d.tx, e.ID, d.now)
			switch none := errors.Is(err, dispatch.ErrNotFound); {
			case err != nil && !none:
				return err
			case none || asked.AskedBy == d.actor.ID:
				if only, err := s.alone(ctx, d.tx, d.actor, mayRelease, d.now); err != nil || !only {
					return errors.Join(err, &SecondPerson{Asked: asked})
				}
				by, err := byOneself(reason)
				if err != nil {
					return err
				}
				maps.Copy(facts, by)
			default:
				if one, err := handed(ctx, d.tx, asked.AskedBy, d.actor.ID, d.now); err != nil || one {
					return errors.Join(err, &SecondPerson{Asked: asked, Handed: true})
				}
				facts["asked_by"] = asked.AskedBy
			}
		}
		shown = ShownCode{Number: releasecode.FormatNumber(number), Code: releasecode.New(*s.recovery, number).String(), CommandID: c.ID, OrderedAt: c.IssuedAt}
		idx, err := d.record(ctx, "endpoint.release_code", e.ID, facts)
		if err != nil || c.IncidentID == "" {
			return err
		}
		inc, err := incident.FindBare(ctx, d.tx, e.OrganisationID, c.IncidentID)
		if err != nil {
			return err
		}
		return s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryCommand, Text: reason, Params: map[string]string{"command": "show_release_code", "endpoint": e.ID, "code_number": number}, LedgerIdx: idx})
	})
	if err != nil {
		return ShownCode{}, err
	}
	return shown, nil
}

// orderWithCode finds the order to an endpoint that a number belongs to.
func orderWithCode(ctx context.Context, d *deed, e endpoint.Endpoint, number string) (dispatch.Command, error) {
	list, err := dispatch.List(ctx, d.tx, dispatch.Filter{OrganisationID: e.OrganisationID, EndpointID: e.ID, Limit: ordersLooked})
	if err != nil {
		return dispatch.Command{}, err
	}
	for _, c := range list {
		if c.Verb == dispatch.Isolate && c.Isolation.Code != nil && c.Isolation.Code.Number == number {
			return c, nil
		}
	}
	return dispatch.Command{}, &Invalid{Field: "number", Code: "unknown", Err: errors.New("no order to this endpoint has this number")}
}

// ordersLooked is among how many of an endpoint's newest orders a number is looked for.
const ordersLooked = 10_000

// IsolationSettings returns how the actor's organisation isolates.
func (s *Acts) IsolationSettings(ctx context.Context, a Actor) (organisation.Isolation, error) {
	return s.isolationSettings(ctx, a, mayLook)
}

func (s *Acts) isolationSettings(ctx context.Context, a Actor, p permission) (organisation.Isolation, error) {
	return read(ctx, s, a, p, func(q sqldb.Queryer, a Actor) (organisation.Isolation, error) {
		return organisation.FindIsolation(ctx, q, a.OrganisationID)
	})
}

// SetIsolationSettings says how the actor's organisation isolates from now on.
func (s *Acts) SetIsolationSettings(ctx context.Context, a Actor, i organisation.Isolation) error {
	switch {
	case i.MaxShare < 0 || i.MaxShare > 100:
		return &Invalid{Field: "max_share", Code: "range", Err: errors.New("it must be 1 to 100")}
	case i.TwoShare < 0 || i.TwoShare > 100:
		return &Invalid{Field: "two_share", Code: "range", Err: errors.New("it must be 0 to 100")}
	case i.DrillDays < 0 || i.DrillDays > 366:
		return &Invalid{Field: "drill_days", Code: "range", Err: errors.New("it must be 0 to 366")}
	case i.DrillHour < 0 || i.DrillHour > 23:
		return &Invalid{Field: "drill_hour", Code: "range", Err: errors.New("it must be 0 to 23")}
	case i.Lease < 0 || i.Lease > maxIsolation:
		return &Invalid{Field: "lease", Code: "range", Err: errors.New("it must be within a year")}
	}
	if err := errors.Join(text("notice", i.NoticeText, maxNotice, false), text("phone", i.NoticePhone, maxPhone, false)); err != nil {
		return err
	}
	return s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		was, err := organisation.FindIsolation(ctx, d.tx, d.actor.OrganisationID)
		if err != nil {
			return err
		}
		i.TwoPersonsUntil = was.TwoPersonsUntil
		switch {
		case i.TwoPersons:
			i.TwoPersonsUntil = time.Time{}
		case was.TwoPersons:
			i.TwoPersonsUntil = d.now.Add(organisation.TwoPersonsLinger)
		}
		i.TwoShareWas, i.TwoShareUntil = was.TwoShareWas, was.TwoShareUntil
		if strict := was.TwoShareNow(d.now); strict != 0 && (i.TwoShare == 0 || i.TwoShare > strict) {
			if i.TwoShareWas != strict || !d.now.Before(i.TwoShareUntil) {
				i.TwoShareWas, i.TwoShareUntil = strict, d.now.Add(organisation.TwoPersonsLinger)
			}
		} else {
			i.TwoShareWas, i.TwoShareUntil = 0, time.Time{}
		}
		stored, err := organisation.SetIsolation(ctx, d.tx, d.actor.OrganisationID, i)
		if err != nil {
			return err
		}
		_, err = d.record(ctx, organisation.ActIsolation, d.actor.OrganisationID, map[string]string{
			organisation.SettingsSHA256: stored,
			"two_persons":               fmt.Sprint(i.TwoPersons), "notice": i.NoticeText, "phone": i.NoticePhone, "lease": i.Lease.String(), "max_share": fmt.Sprint(i.MaxShare), "two_share": fmt.Sprint(i.TwoShare),
			"drill_days": fmt.Sprint(i.DrillDays), "drill_hour": fmt.Sprint(i.DrillHour),
		})
		return err
	})
}
