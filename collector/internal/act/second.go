package act

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// RailAlone means that the order needs two persons and only one exists: it goes out with a
// reason, which the ledger keeps.
const RailAlone GuardRail = "alone"

// needsTwo reports whether an order to a group takes two persons now.
func needsTwo(settings organisation.Isolation, o GroupOrder, pv GroupPreview, now time.Time) bool {
	if o.Verb == dispatch.Release {
		return settings.NeedsTwo(now)
	}
	return !o.Isolation.Drill && pv.Cut > 1 && settings.GroupNeedsTwo(pv.Share, now)
}

// alone reports whether nobody but the actor could be the second person. Somebody who was
// disabled or lost the role a short while ago counts as being there: nobody becomes the only
// one by barring the other.
func (s *Acts) alone(ctx context.Context, q sqldb.Queryer, a Actor, p permission, now time.Time) (bool, error) {
	all, err := operator.List(ctx, q, a.OrganisationID)
	if err != nil {
		return false, err
	}
	before, err := operator.RolesBefore(ctx, q, a.OrganisationID, now.Add(-organisation.TwoPersonsLinger))
	if err != nil {
		return false, err
	}
	for _, o := range all {
		could := slices.ContainsFunc(append(before[o.ID], o.Role), func(r operator.Role) bool { return permitted(r, p) })
		if o.ID != a.ID && could && (o.DisabledAt.IsZero() || now.Sub(o.DisabledAt) < organisation.TwoPersonsLinger) {
			return false, nil
		}
	}
	return true, nil
}

// groupSecond finds out whether an order to a group may go out now, and by whose agreement.
// The answer is nil where one person is enough.
func (s *Acts) groupSecond(ctx context.Context, d *deed, o GroupOrder, pv GroupPreview, groupID string) (map[string]string, error) {
	settings, err := organisation.FindIsolation(ctx, d.tx, d.actor.OrganisationID)
	if err != nil || d.actor.Kind != ByOperator || !needsTwo(settings, o, pv, d.now) {
		return nil, err
	}
	for _, r := range pv.Rails {
		if r == RailAlone { // the caller has checked that a reason was given
			return map[string]string{"alone": "true"}, nil
		}
	}
	waiting, err := group.WaitingAsked(ctx, d.tx, d.actor.OrganisationID, d.now)
	if err != nil {
		return nil, err
	}
	var own, one *group.Asked
	for _, a := range waiting {
		var said askedGroup
		if err := json.Unmarshal([]byte(a.Said), &said); err != nil {
			return nil, fmt.Errorf("read order to group that waits: %w", err)
		}
		if a.Verb != string(o.Verb) || said.Fingerprint != sharedFingerprint(pv, o) {
			continue
		}
		if a.AskedBy == d.actor.ID {
			own = &a
			continue
		}
		same, err := handed(ctx, d.tx, a.AskedBy, d.actor.ID, d.now)
		if err != nil {
			return nil, err
		}
		if same {
			one = &a
			continue
		}
		a.DecidedBy, a.DecidedName, a.DecidedAt, a.Decision, a.GroupID = d.actor.ID, d.actor.Name, d.now, group.Agreed, groupID
		return map[string]string{"asked_by": a.AskedBy, "asked_name": a.AskedName, "asked_reason": a.Reason, group.AskedID: a.ID}, group.DecideAsked(ctx, d.tx, a)
	}
	if own == nil && one != nil {
		return nil, &SecondPerson{Group: one, Handed: true}
	}
	return nil, &SecondPerson{Group: own}
}

// handed reports whether two accounts may be in one hand: within
// [organisation.TwoPersonsLinger] one gave the other the sign-in by adding it, by a new
// password or by taking the second factor away, or somebody did so for both.
func handed(ctx context.Context, q sqldb.Queryer, a, b string, now time.Time) (bool, error) {
	since := now.Add(-organisation.TwoPersonsLinger)
	of, err := operator.Handers(ctx, q, a, since)
	if err != nil {
		return false, err
	}
	list, err := operator.Handers(ctx, q, b, since)
	if err != nil {
		return false, err
	}
	of = append(of, a)
	return slices.ContainsFunc(append(list, b), func(id string) bool { return slices.Contains(of, id) }), nil
}

// sharedFingerprint is [GroupPreview.Fingerprint] without what depends on who looks.
func sharedFingerprint(pv GroupPreview, o GroupOrder) string {
	pv.Rails = slices.DeleteFunc(slices.Clone(pv.Rails), func(r GuardRail) bool { return r == RailOperatorHere || r == RailAlone })
	return fingerprint(pv, o)
}

// askedGroup is an order to a group as it waits.
type askedGroup struct {
	Selection   Selection          `json:"selection"`
	IncidentID  string             `json:"incident,omitempty"`
	Isolation   dispatch.Isolation `json:"isolation,omitzero"`
	First       bool               `json:"isolate_first,omitempty"`
	Servers     bool               `json:"servers,omitempty"`
	BreakGlass  string             `json:"break_glass,omitempty"`
	Fingerprint string             `json:"fingerprint"`
}

// askGroup keeps the first person's order to a group, for a second one to agree. Of a
// release each endpoint says so too.
func (s *Acts) askGroup(ctx context.Context, a Actor, sel Selection, o GroupOrder) error {
	p := mayIsolate
	if o.Verb == dispatch.Release {
		p = mayRelease
	}
	var asked group.Asked
	err := s.write(ctx, a, p, func(ctx context.Context, d *deed) error {
		pv, err := s.preview(ctx, d.tx, d.actor, sel, o)
		if err != nil {
			return err
		}
		if o.Confirmed != pv.Fingerprint {
			return &Invalid{Field: "confirmed", Code: "changed", Err: errors.New("the group is not the one that was shown")}
		}
		said, err := json.Marshal(askedGroup{Selection: sel, IncidentID: o.IncidentID, Isolation: o.Isolation, First: o.IsolateFirst, Servers: o.Servers, BreakGlass: o.BreakGlass, Fingerprint: sharedFingerprint(pv, o)})
		if err != nil {
			return fmt.Errorf("ask for order to group: %w", err)
		}
		asked = group.Asked{ID: id.New(id.Release), OrganisationID: d.actor.OrganisationID, Verb: string(o.Verb), Said: string(said), Reason: o.Reason,
			AskedBy: d.actor.ID, AskedName: d.actor.Name, AskedAt: d.now}
		if err := group.InsertAsked(ctx, d.tx, asked); err != nil {
			return err
		}
		if o.Verb == dispatch.Release {
			for _, m := range pv.Members {
				if m.LeftOut != "" {
					continue
				}
				if err := s.askReleaseIn(ctx, d, m.Endpoint, o.Order); err != nil {
					return err
				}
			}
		}
		d.tell(s, Event{Kind: EventIncident})
		idx, err := d.record(ctx, group.ActAsk, asked.ID, map[string]string{"verb": asked.Verb, group.SaidSHA256: group.ShortSaid(asked.Said), "members": strconv.Itoa(pv.Cut), "share": strconv.Itoa(pv.Share), "reason": o.Reason})
		if err != nil {
			return err
		}
		return s.groupLine(ctx, d, o.IncidentID, incident.Entry{Text: o.Reason, LedgerIdx: idx, Params: map[string]string{"command": "ask_group", "verb": asked.Verb, "n": strconv.Itoa(pv.Cut)}})
	})
	if err != nil {
		return err
	}
	return &SecondPerson{Group: &asked}
}

// GroupWaiting is an order to a group that waits for a second person, as it would be now.
type GroupWaiting struct {
	Asked   group.Asked
	Order   GroupOrder
	Preview GroupPreview
	Mine    bool // the actor asked
	// Changed means that the group is not the one that was asked for any more.
	Changed bool
	// Here means that the PC at which the actor sits would be cut too.
	Here bool
}

// GroupsWaiting lists the orders to groups that wait for a second person.
func (s *Acts) GroupsWaiting(ctx context.Context, a Actor) ([]group.Asked, error) {
	return read(ctx, s, a, mayIsolate, func(q sqldb.Queryer, a Actor) ([]group.Asked, error) {
		return group.WaitingAsked(ctx, q, a.OrganisationID, s.now())
	})
}

// GroupWaiting finds one of them. from is where the actor sits; zero if not known.
func (s *Acts) GroupWaiting(ctx context.Context, a Actor, askedID string, from netip.Addr) (GroupWaiting, error) {
	return read(ctx, s, a, mayIsolate, func(q sqldb.Queryer, a Actor) (GroupWaiting, error) {
		w, _, err := s.groupWaiting(ctx, q, a, askedID, from)
		return w, err
	})
}

func (s *Acts) groupWaiting(ctx context.Context, q sqldb.Queryer, a Actor, askedID string, from netip.Addr) (GroupWaiting, Selection, error) {
	var w GroupWaiting
	var said askedGroup
	asked, err := group.AskedByID(ctx, q, askedID)
	if err == nil {
		err = a.own(asked.OrganisationID)
	}
	if err != nil {
		return w, said.Selection, err
	}
	if asked.Decision != "" || s.now().Sub(asked.AskedAt) >= group.AskedWaits {
		return w, said.Selection, fmt.Errorf("%w: it does not wait any more", ErrConflict)
	}
	if err := json.Unmarshal([]byte(asked.Said), &said); err != nil {
		return w, said.Selection, fmt.Errorf("read order to group that waits: %w", err)
	}
	w = GroupWaiting{Asked: asked, Mine: asked.AskedBy == a.ID, Order: GroupOrder{Verb: dispatch.Verb(asked.Verb), Servers: said.Servers, BreakGlass: said.BreakGlass, OperatorAddr: from,
		Order: Order{Reason: asked.Reason, IncidentID: said.IncidentID, Isolation: said.Isolation, IsolateFirst: said.First}}}
	if w.Preview, err = s.preview(ctx, q, a, said.Selection, w.Order); err != nil {
		return w, said.Selection, err
	}
	w.Here = slices.Contains(w.Preview.Rails, RailOperatorHere)
	w.Changed = sharedFingerprint(w.Preview, w.Order) != said.Fingerprint
	w.Order.Confirmed = w.Preview.Fingerprint
	return w, said.Selection, nil
}

// AgreeGroup gives an order to a group that another person asked for, exactly as it was
// asked for. The error is [Invalid] with the field "confirmed" and the code "changed" if
// the group is another one by now: it must be asked for anew. from is where the actor sits,
// zero if not known; where that PC would be cut too, glass says why all the same.
func (s *Acts) AgreeGroup(ctx context.Context, a Actor, askedID, glass string, from netip.Addr) (group.Order, error) {
	if err := a.person(); err != nil {
		return group.Order{}, err
	}
	if err := text("break_glass", glass, dispatch.MaxReason, false); err != nil {
		return group.Order{}, err
	}
	who, err := s.identify(ctx, s.db.Read(), a, mayIsolate)
	if err != nil {
		return group.Order{}, err
	}
	w, sel, err := s.groupWaiting(ctx, s.db.Read(), who, askedID, from)
	if err != nil {
		return group.Order{}, known(err)
	}
	if w.Mine {
		return group.Order{}, &SecondPerson{Group: &w.Asked}
	}
	if w.Changed {
		return group.Order{}, &Invalid{Field: "confirmed", Code: "changed", Err: errors.New("the group is not the one that was asked for")}
	}
	if w.Here && len(strings.TrimSpace(glass)) < minGlass {
		return group.Order{}, &Invalid{Field: "break_glass", Code: "required", Err: fmt.Errorf("needed because of %s", RailOperatorHere)}
	}
	// Nothing else stopped the first person who gave no reason, so this one is for the PC here.
	w.Order.agreedGlass, w.Order.BreakGlass = glass, cmp.Or(w.Order.BreakGlass, glass)
	return s.OrderGroup(ctx, a, sel, w.Order)
}

// RefuseGroup ends an order to a group that waits, by the second person or by the first,
// who takes it back.
func (s *Acts) RefuseGroup(ctx context.Context, a Actor, askedID, reason string) error {
	if err := a.person(); err != nil {
		return err
	}
	if err := text("reason", reason, dispatch.MaxReason, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayIsolate, func(ctx context.Context, d *deed) error {
		asked, err := group.AskedByID(ctx, d.tx, askedID)
		if err == nil {
			err = d.actor.own(asked.OrganisationID)
		}
		if err != nil {
			return err
		}
		if asked.Decision != "" {
			return fmt.Errorf("%w: it does not wait any more", ErrConflict)
		}
		asked.DecidedBy, asked.DecidedName, asked.DecidedAt, asked.Decision = d.actor.ID, d.actor.Name, d.now, group.Refused
		if err := group.DecideAsked(ctx, d.tx, asked); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventIncident})
		idx, err := d.record(ctx, group.ActRefuse, asked.ID, map[string]string{"verb": asked.Verb, "asked_by": asked.AskedBy, "reason": reason})
		if err != nil {
			return err
		}
		var said askedGroup
		if json.Unmarshal([]byte(asked.Said), &said) != nil {
			return nil // nobody can say of which incident it is, which keeps nobody from refusing it
		}
		return s.groupLine(ctx, d, said.IncidentID, incident.Entry{Text: reason, LedgerIdx: idx, Params: map[string]string{"command": "refuse_group", "verb": asked.Verb}})
	})
}

// groupLine adds a line about an order to a group to the timeline of the incident for which it
// is, or in which that goes on; none if it is for none, or for one that is not there.
func (s *Acts) groupLine(ctx context.Context, d *deed, incidentID string, e incident.Entry) error {
	if incidentID == "" {
		return nil
	}
	inc, err := whereNow(ctx, d.tx, d.actor.OrganisationID, incidentID, "")
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	e.Kind = incident.EntryCommand
	return s.line(ctx, d, inc, "", e)
}

// byOneself is what the ledger keeps of a release that takes two persons and is ordered by
// the only one there is. The error asks for the reason.
func byOneself(reason string) (map[string]string, error) {
	if len(strings.TrimSpace(reason)) < minGlass {
		return nil, &Invalid{Field: "reason", Code: "required", Err: errors.New("nobody else could agree; say why it is released")}
	}
	return map[string]string{"alone": "true", "alone_reason": reason}, nil
}
