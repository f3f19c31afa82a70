package act

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/internal/capability"
	"hozen/internal/id"
)

// groupTick is how often groups are looked at whose evidence is being taken.
const groupTick = 250 * time.Millisecond

// groupIdle is how often is looked for groups that an earlier run of the collector left.
const groupIdle = 30 * time.Second

// RunGroups cuts groups whose evidence has been taken, isolates again what lost its
// isolation, and begins the drills that are due, until ctx ends. One collector
// runs it once. What it does is in the database: a collector that was killed goes on
// where it was.
func (s *Acts) RunGroups(ctx context.Context) {
	var making sync.WaitGroup
	defer making.Wait()
	for range max(1, runtime.GOMAXPROCS(0)-1) {
		making.Go(func() { s.stockCodes(ctx) })
	}
	for {
		waiting, err := s.lookAtGroups(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.log.ErrorContext(ctx, "groups are not cut, a lost isolation is not restored, or drills do not begin", slog.Any("error", err))
		}
		wait := groupIdle
		if waiting {
			wait = groupTick
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.groups:
		case <-timer.C:
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// lookAtGroups does what RunGroups does each time. Whether a drill is due is looked at
// seldom, and never while a group waits to be cut in earnest.
func (s *Acts) lookAtGroups(ctx context.Context) (waiting bool, err error) {
	waiting, err = s.cutReady(ctx)
	err = errors.Join(err, s.restoreLost(ctx))
	if !waiting {
		err = errors.Join(err, s.runDrills(ctx))
	}
	return waiting, err
}

func (s *Acts) pokeGroups() {
	select {
	case s.groups <- struct{}{}:
	default:
	}
}

// cutReady cuts the groups that need not wait any longer, and reports whether others do.
// What keeps one group from being cut keeps no other.
func (s *Acts) cutReady(ctx context.Context) (waiting bool, err error) {
	open, err := group.Unfinished(ctx, s.db.Read())
	if err != nil {
		return false, err
	}
	var wrong []error
	for _, g := range open {
		cut, err := s.cutIfReady(ctx, g)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("cut group %s: %w", g.ID, err))
		}
		waiting = waiting || !cut
	}
	return waiting, errors.Join(wrong...)
}

func (s *Acts) cutIfReady(ctx context.Context, g group.Order) (cut bool, err error) {
	members, err := group.Members(ctx, s.db.Read(), g.ID)
	if err != nil {
		return false, err
	}
	if ready, err := s.captured(ctx, g, members); err != nil || !ready {
		return false, err
	}
	return true, s.transact(ctx, func(ctx context.Context, d *deed) error {
		// The orders are those of whoever ordered the group.
		d.actor = Actor{Kind: BySystem, Name: g.Issuer, OrganisationID: g.OrganisationID}
		if id.Check(id.Operator, g.IssuedBy) == nil {
			d.actor.Kind, d.actor.ID = ByOperator, g.IssuedBy
		}
		now, err := group.ByID(ctx, d.tx, g.ID)
		if err != nil || now.Phase != group.Capturing {
			return err
		}
		done, err := s.cutAll(ctx, d, g, members, nil)
		if errors.Is(err, ErrConflict) {
			// A person closed the incident meanwhile: it was a mistake, or it is over.
			done, err = leaveOut(members, LeftOutClosed), nil
			idx, err := d.record(ctx, "group.give_up", g.ID, map[string]string{"reason": "the incident was closed before the cut"})
			if err != nil {
				return err
			}
			if err := s.groupLine(ctx, d, g.IncidentID, incident.Entry{LedgerIdx: idx, Params: map[string]string{"command": "give_up_group"}}); err != nil {
				return err
			}
		}
		if err != nil {
			return err
		}
		g.Phase, g.CutAt = group.Ordered, d.now
		if err := d.members(ctx, g, done); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventIncident, IncidentID: g.IncidentID})
		return group.Cut(ctx, d.tx, g, done)
	})
}

// leaveOut returns the members without those that were to be cut.
func leaveOut(members []group.Member, why LeftOut) []group.Member {
	out := slices.Clone(members)
	for i := range out {
		if out[i].LeftOut == "" {
			out[i].LeftOut = string(why)
		}
	}
	return out
}

// captured reports whether the evidence of every member is there, or has been waited for
// long enough.
func (s *Acts) captured(ctx context.Context, g group.Order, members []group.Member) (bool, error) {
	if s.now().Sub(g.IssuedAt) >= captureLimit {
		return true, nil
	}
	for _, m := range members {
		if m.CaptureID == "" {
			continue
		}
		c, err := dispatch.ByID(ctx, s.db.Read(), m.CaptureID)
		if err != nil {
			return false, err
		}
		if !c.Status.Final() && s.hub.Online(m.EndpointID) {
			return false, nil
		}
	}
	return true, nil
}

// cutAll gives every member that is not left out its command, all in one transaction:
// the streams are woken together when it is committed.
//
// known are members as the transaction has read them. Optional.
func (s *Acts) cutAll(ctx context.Context, d *deed, g group.Order, members []group.Member, known map[string]endpoint.Endpoint) ([]group.Member, error) {
	var said dispatch.Isolation
	if err := json.Unmarshal([]byte(g.Isolation), &said); err != nil {
		return nil, fmt.Errorf("read order to group %s: %w", g.ID, err)
	}
	orders, err := s.groupIsolations(ctx, d, g, said, members)
	if err != nil {
		return nil, err
	}
	all, err := s.many(ctx, d, g.IncidentID, members, known)
	if err != nil {
		return nil, err
	}
	done := make([]group.Member, len(members))
	copy(done, members)
	for i := range done {
		if m := &done[i]; m.LeftOut == "" {
			e, err := all.endpoint(m.EndpointID)
			if err != nil {
				return nil, err
			}
			m.LeftOut = string(s.leftOutAtCut(ctx, d, e, dispatch.Verb(g.Verb), orders[i], said))
		}
	}
	if err := all.count(ctx, d, done); err != nil {
		return nil, err
	}
	given := make([]dispatch.Command, 0, len(done))
	for i := range done {
		m := &done[i]
		if m.LeftOut != "" {
			continue
		}
		c := dispatch.Command{ID: id.New(id.Command), Verb: dispatch.Verb(g.Verb), Isolation: orders[i]}
		o := Order{Reason: g.Reason, many: all}
		facts := map[string]string{"group": g.ID}
		if c.Verb == dispatch.Isolate {
			// Evidence was taken before, or the order says not to; only who was away takes it
			// when it is back.
			c.IsolateFirst = g.IsolateFirst || !m.Standing
			maps.Copy(facts, isolationFacts(orders[i]))
			if said.Drill {
				c.ExpiresAt = d.now.Add(drillExpires)
			}
		}
		o.check = func(ctx context.Context, d *deed, e endpoint.Endpoint) (map[string]string, error) {
			if c.Verb == dispatch.Release {
				second, err := s.agreed(ctx, d, e, c.ID, g.BreakGlass)
				maps.Copy(facts, second)
				return facts, err
			}
			return facts, nil
		}
		stored, err := s.give(ctx, d, m.EndpointID, c, o)
		if err != nil {
			return nil, err
		}
		m.CommandID = stored.ID
		given = append(given, stored)
	}
	all.answer(s, d, given)
	return done, nil
}

// leftOutAtCut is why a member that was to be cut is not, as it turns out now.
func (s *Acts) leftOutAtCut(ctx context.Context, d *deed, e endpoint.Endpoint, verb dispatch.Verb, order, said dispatch.Isolation) LeftOut {
	switch {
	case !e.RevokedAt.IsZero():
		return LeftOutRevoked
	case verb != dispatch.Isolate:
		return ""
	case !order.Plain() && capability.Number(e.Capability) < capability.Isolation:
		return LeftOutOldAgent
	case said.Drill && s.mayReplace(ctx, d, e, said) != nil:
		return LeftOutAlready // in earnest, since the preview
	}
	return ""
}

// drillExpires is how long a drill may wait for a PC: it is over by then.
const drillExpires = 15 * time.Second

// groupIsolations makes the order of each member: all alike but for the release code.
// That is computed for many at a time, because each takes milliseconds.
func (s *Acts) groupIsolations(ctx context.Context, d *deed, g group.Order, said dispatch.Isolation, members []group.Member) ([]dispatch.Isolation, error) {
	orders := make([]dispatch.Isolation, len(members))
	if g.Verb == string(dispatch.Release) {
		for i := range orders {
			orders[i] = dispatch.Isolation{Notice: said.Notice}
		}
		return orders, nil
	}
	if said.Drill {
		notice := said.Notice
		said = s.Drill() // its minute begins with the cut
		said.Notice = notice
	}
	said, err := s.asSettled(ctx, d.tx, g.OrganisationID, said)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(members))
	var wg sync.WaitGroup
	next := make(chan int)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				orders[i] = said
				orders[i].Code, errs[i] = s.newCode()
			}
		})
	}
	for i, m := range members {
		if m.LeftOut == "" {
			next <- i
		}
	}
	close(next)
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return orders, nil
}
