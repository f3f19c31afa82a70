package act

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/watch"
	"hozen/internal/i18n"
)

const (
	week = 7 * 24 * time.Hour
	// weekIncidents is how many incidents a summary of the week names.
	weekIncidents = 10
	// weekDrills is how many orders to groups are looked through for drills.
	weekDrills = 500
)

// WeeklySettings says when the actor's organisation is told once a week how things are.
func (s *Acts) WeeklySettings(ctx context.Context, a Actor) (notify.Weekly, error) {
	return read(ctx, s, a, mayNotify, func(q sqldb.Queryer, a Actor) (notify.Weekly, error) {
		w, _, err := notify.FindWeekly(ctx, q, a.OrganisationID)
		return w, err
	})
}

// SetWeeklySettings says when the actor's organisation is told once a week how things are.
// It holds from the next such moment on.
func (s *Acts) SetWeeklySettings(ctx context.Context, a Actor, w notify.Weekly) error {
	if !w.Valid() {
		return &Invalid{Field: "weekly", Code: "range", Err: errors.New("want a weekday and an hour from 0 to 23")}
	}
	return s.write(ctx, a, mayNotify, func(ctx context.Context, d *deed) error {
		if err := notify.SetWeekly(ctx, d.tx, d.actor.OrganisationID, w, d.now); err != nil {
			return err
		}
		_, err := d.record(ctx, notify.ActWeekly, d.actor.OrganisationID, map[string]string{"enabled": strconv.FormatBool(w.Enabled), "weekday": strconv.Itoa(int(w.Weekday)), "hour": strconv.Itoa(w.Hour)})
		return err
	})
}

// WeeklyPreview is what the summary of the week would say now.
func (s *Acts) WeeklyPreview(ctx context.Context, a Actor, l i18n.Language) (notify.Message, error) {
	return read(ctx, s, a, mayNotify, func(q sqldb.Queryer, a Actor) (notify.Message, error) {
		e, err := s.weekly(ctx, q, a.OrganisationID, s.now())
		if err != nil {
			return notify.Message{}, err
		}
		texts, err := notify.Texts()
		if err != nil {
			return notify.Message{}, err
		}
		return notify.Words(texts.Printer(l), e, ""), nil
	})
}

// tellWeekly tells one organisation how things are, if it is time and nobody did. A slot
// that went by while no collector ran is told late, once.
func (s *Acts) tellWeekly(ctx context.Context, organisationID string) error {
	settings, toldFor, err := notify.FindWeekly(ctx, s.db.Read(), organisationID)
	if err != nil {
		return err
	}
	slot, due := notify.WeeklyDue(settings, toldFor, s.now())
	if !due && !toldFor.IsZero() {
		return nil
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: organisationID}
		if toldFor.IsZero() {
			return notify.SetWeekly(ctx, d.tx, organisationID, settings, d.now)
		}
		mine, err := notify.TakeWeekly(ctx, d.tx, organisationID, toldFor, slot)
		if err != nil || !mine {
			return err
		}
		e, err := s.weekly(ctx, d.tx, organisationID, d.now)
		if err != nil {
			return err
		}
		e.Key = "weekly " + sqldb.FormatTime(slot)
		return s.announce(ctx, d, e)
	})
}

// weekly is the summary of the week of one organisation, without names.
func (s *Acts) weekly(ctx context.Context, q sqldb.Queryer, organisationID string, now time.Time) (notify.Event, error) {
	w := &notify.Week{}
	e := notify.Event{Kind: notify.WeeklySummary, OrganisationID: organisationID, Path: "/watch", At: now, Week: w}
	pcs, c, err := s.watched(ctx, q, organisationID)
	if err != nil {
		return e, err
	}
	w.Endpoints = len(pcs)
	for _, p := range pcs {
		if p.Online || !p.LastSeen.IsZero() && now.Sub(p.LastSeen) < week {
			w.Heard++
		}
	}
	for _, x := range watch.Look(now, pcs, c) { // urgent ones come first
		i := slices.IndexFunc(w.Concerns, func(k notify.WeekConcern) bool { return k.Code == string(x.Code) })
		if i < 0 {
			w.Concerns = append(w.Concerns, notify.WeekConcern{Code: string(x.Code), Urgent: x.Urgent})
			i = len(w.Concerns) - 1
		}
		w.Concerns[i].Count++
	}
	w.Planned, w.BackupAt, w.ProvedAt = c.BackupDir != "", c.BackupAt, c.ProvedAt
	for _, until := range []time.Time{c.CertificateUntil, c.CAUntil} {
		if !until.IsZero() && (w.CertificateUntil.IsZero() || until.Before(w.CertificateUntil)) {
			w.CertificateUntil = until
		}
	}
	all, err := incident.List(ctx, q, organisationID)
	if err != nil {
		return e, err
	}
	if err := s.weekIncidents(ctx, q, organisationID, all, now, w); err != nil {
		return e, err
	}
	counted := map[string]bool{} // an isolation drill that opened a drill is one
	for _, i := range all {
		if i.Drill {
			w.Drill(i.OpenedAt, now)
			counted[i.ID] = true
		}
	}
	groups, err := group.List(ctx, q, organisationID, weekDrills)
	if err != nil {
		return e, err
	}
	for _, g := range groups {
		if g.Drill && !counted[g.IncidentID] {
			w.Drill(g.IssuedAt, now)
		}
	}
	return e, nil
}

// weekIncidents adds what is open or has a deadline that runs.
func (s *Acts) weekIncidents(ctx context.Context, q sqldb.Queryer, organisationID string, all []incident.Incident, now time.Time, w *notify.Week) error {
	list, err := s.deadlines(ctx, q, organisationID, s.withDeadlines(all))
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.Incident.Drill {
			continue // nothing of it is real
		}
		if d.Fault != nil {
			w.Incidents = append(w.Incidents, notify.WeekIncident{Number: d.Incident.Number, Unknown: true})
			continue
		}
		i := notify.WeekIncident{Number: d.Incident.Number, Late: d.Behind(now)}
		next, runs := d.Next()
		if runs {
			i.Clock, i.Due = strings.ReplaceAll(next.Clock.ID, ".", "_"), next.Due
		}
		if runs || d.Incident.ClosedAt.IsZero() {
			w.Incidents = append(w.Incidents, i)
		}
	}
	slices.SortStableFunc(w.Incidents, func(a, b notify.WeekIncident) int {
		switch {
		case a.Unknown != b.Unknown:
			if a.Unknown {
				return -1
			}
			return 1
		case a.Due.IsZero() && b.Due.IsZero():
			return strings.Compare(a.Number, b.Number)
		case a.Due.IsZero():
			return 1
		case b.Due.IsZero():
			return -1
		}
		return a.Due.Compare(b.Due)
	})
	if n := len(w.Incidents) - weekIncidents; n > 0 {
		w.Incidents, w.More = w.Incidents[:weekIncidents], n
	}
	return nil
}
