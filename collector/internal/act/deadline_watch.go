package act

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/deadline"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// lookEvery is how often the deadlines are looked at.
const lookEvery = time.Minute

// WatchDeadlines keeps the deadlines of all incidents set and reminds of them until ctx
// ends.
func (s *Acts) WatchDeadlines(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		if err := s.LookAtDeadlines(ctx); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "deadlines not looked at", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// LookAtDeadlines sets the deadlines that are new or count otherwise now, and gives the
// reminders that are due. Each is given once, whoever looks and however often: of several
// that came due while nobody looked, the last one.
func (s *Acts) LookAtDeadlines(ctx context.Context) error {
	orgs, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return err
	}
	var wrong []error
	for _, o := range orgs {
		wrong = append(wrong, s.lookAtDeadlinesOf(ctx, o.ID))
	}
	return errors.Join(wrong...)
}

func (s *Acts) lookAtDeadlinesOf(ctx context.Context, organisationID string) error {
	all, err := incident.List(ctx, s.db.Read(), organisationID)
	if err != nil {
		return err
	}
	list, err := s.deadlines(ctx, s.db.Read(), organisationID, s.withDeadlines(all))
	if err != nil {
		return err
	}
	var wrong []error
	for _, d := range list {
		if d.Fault != nil {
			wrong = append(wrong, d.Fault)
			continue
		}
		if len(unset(d)) == 0 && len(due(d, s.now())) == 0 {
			continue
		}
		wrong = append(wrong, s.transact(ctx, func(ctx context.Context, e *deed) error {
			e.actor = Actor{Kind: BySystem, OrganisationID: organisationID}
			inc, err := incident.FindBare(ctx, e.tx, organisationID, d.Incident.ID)
			if err != nil {
				return err
			}
			if err := s.setDeadlines(ctx, e, inc); err != nil {
				return err
			}
			return s.remind(ctx, e, inc)
		}))
	}
	return errors.Join(wrong...)
}

// change is a deadline that counts otherwise than its newest version says.
type change struct {
	deadline.Deadline
	before deadline.Version // zero: it is the first
}

// unset are the deadlines that run and are not set as they are counted.
func unset(d Deadlines) []change {
	var list []change
	for _, x := range d.List {
		before, ok := d.Log.Newest(x.Clock.ID)
		if x.Ticking() && (!ok || !before.Same(x)) {
			list = append(list, change{x, before})
		}
	}
	return list
}

// setDeadlines makes versions of the deadlines that are new or count otherwise now.
func (s *Acts) setDeadlines(ctx context.Context, d *deed, inc incident.Incident) error {
	of, err := s.deadlinesOf(ctx, d.tx, inc)
	if err != nil {
		return err
	}
	changes := unset(of)
	if len(changes) == 0 {
		return nil
	}
	var versions []deadline.Version
	said := map[bool][]change{} // whether it was there before
	for _, c := range changes {
		versions = append(versions, deadline.NewVersion(c.before, c.Deadline, d.now))
		if c.before.Version == 0 || c.Clock.EveryHours == 0 { // one that comes again says so by being done
			said[c.before.Version > 0] = append(said[c.before.Version > 0], c)
		}
	}
	idx, err := d.record(ctx, deadline.ActSet, inc.ID, deadline.Details(versions))
	if err != nil {
		return err
	}
	for _, v := range versions {
		v.LedgerIdx = idx
		if err := deadline.InsertVersion(ctx, d.tx, inc.OrganisationID, inc.ID, v); err != nil {
			return err
		}
	}
	for _, changed := range []bool{false, true} {
		if len(said[changed]) == 0 {
			continue
		}
		event := "set"
		if changed {
			event = "changed"
		}
		var ja, en []string
		for _, c := range said[changed] {
			ja, en = append(ja, c.Clock.Name.JA+" "+until(c.Deadline)), append(en, c.Clock.Name.EN+" "+until(c.Deadline))
		}
		facts := map[string]string{"event": event, "number": strconv.Itoa(len(ja)), "facts_ja": strings.Join(ja, "\n"), "facts_en": strings.Join(en, "\n")}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDeadline, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
	}
	return nil
}

// until writes when a deadline ends: the last day, or the minute.
func until(d deadline.Deadline) string {
	if len(d.Clock.Window) == 0 && d.Clock.Days == 0 {
		return d.Due.In(calendar.JST()).Format("2006-01-02 15:04 JST")
	}
	if !d.From.IsZero() {
		return d.From.String() + "…" + d.LastDay().String()
	}
	return d.LastDay().String()
}

// dueReminder is a reminder that was not given yet, of a version.
type dueReminder struct {
	deadline.Reminder
	deadline deadline.Deadline
	version  int64
	told     bool // the others are only crossed off
}

// due are the reminders that have come and were not given. A deadline that is not set as
// it is counted has none yet.
func due(d Deadlines, now time.Time) []dueReminder {
	var list []dueReminder
	for _, x := range d.List {
		v, ok := d.Log.Newest(x.Clock.ID)
		if !ok || !v.Same(x) {
			continue
		}
		var some []dueReminder
		for _, r := range x.Reminders(now) {
			if !slices.ContainsFunc(d.Log.Reminded, func(g deadline.Reminded) bool {
				return g.Clock == x.Clock.ID && g.Version == v.Version && g.Kind == r.Kind
			}) {
				some = append(some, dueReminder{Reminder: r, deadline: x, version: v.Version})
			}
		}
		if n := len(some); n > 0 {
			some[n-1].told = true
		}
		list = append(list, some...)
	}
	return list
}

// remind gives the reminders of an incident that are due.
func (s *Acts) remind(ctx context.Context, d *deed, inc incident.Incident) error {
	of, err := s.deadlinesOf(ctx, d.tx, inc)
	if err != nil {
		return err
	}
	for _, r := range due(of, d.now) {
		given := deadline.Reminded{Clock: r.Clock.ID, Version: r.version, Kind: r.Kind, At: d.now, Told: r.told}
		if err := deadline.InsertReminded(ctx, d.tx, inc.OrganisationID, inc.ID, given); err != nil {
			return err
		}
		if !r.told {
			continue
		}
		idx, err := d.record(ctx, deadline.ActRemind, inc.ID, map[string]string{"clock": r.Clock.ID, "kind": string(r.Kind), "version": strconv.FormatInt(r.version, 10), "due": sqldb.FormatTime(r.deadline.Due)})
		if err != nil {
			return err
		}
		facts := map[string]string{"event": "reminder." + string(r.Kind), "clock": r.Clock.ID, "name_ja": r.Clock.Name.JA, "name_en": r.Clock.Name.EN, "until": until(r.deadline)}
		if r.deadline.State == deadline.Provisional {
			facts["event"] += ".provisional"
		}
		if err := s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryDeadline, Params: facts, LedgerIdx: idx}); err != nil {
			return err
		}
		if err := s.announce(ctx, d, notify.Event{Kind: notify.DeadlineNear, OrganisationID: inc.OrganisationID, Drill: inc.Drill, Key: fmt.Sprintf("deadline %s %s %d %s", inc.ID, r.Clock.ID, r.version, r.Kind),
			IncidentNumber: inc.Number, Path: "/incidents/" + inc.ID + "/deadlines", Due: r.deadline.Due, Stage: string(r.Kind), Clock: strings.ReplaceAll(r.Clock.ID, ".", "_")}); err != nil {
			return err
		}
	}
	return nil
}
