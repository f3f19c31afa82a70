package act

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/organisation"
)

// When people are told that nothing is heard of an endpoint: soon where it matters, late
// where a PC may just be switched off for a holiday.
const (
	silentInIncident = time.Hour
	silentAlways     = 7 * 24 * time.Hour
	// silentGrace is how long endpoints have to come back after the collector was away.
	silentGrace = 15 * time.Minute
	noticeTick  = time.Minute
	// groupSettles is how long after the cut the result of a group is told at the latest.
	groupSettles = 5 * time.Minute
)

// WatchNotices tells people what nobody reports: endpoints that fell silent, and what became
// of groups, until ctx ends. One collector runs it once.
func (s *Acts) WatchNotices(ctx context.Context) {
	w := noticeWatch{since: s.now(), silent: map[string]bool{}, groups: map[string]bool{}, care: map[string]bool{}}
	for {
		timer := time.NewTimer(noticeTick)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		if err := s.lookForNotices(ctx, &w); err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "weekly summaries, silent endpoints or results of groups are not told", slog.Any("error", err))
		}
	}
}

// noticeWatch is what was told since the collector was started; what was told before that
// is known by the keys of the events.
type noticeWatch struct {
	since  time.Time
	silent map[string]bool // endpoint and when it was last seen
	groups map[string]bool
	care   map[string]bool // keys of what the collector needs
}

func (s *Acts) lookForNotices(ctx context.Context, w *noticeWatch) error {
	all, err := organisation.All(ctx, s.db.Read())
	if err != nil {
		return err
	}
	// What cannot be told keeps nothing else from being told, here or in another organisation.
	var errs []error
	for _, o := range all {
		if s.now().Sub(w.since) >= silentGrace {
			errs = append(errs, s.tellWeekly(ctx, o.ID))
		}
		channels, err := notify.Channels(ctx, s.db.Read(), o.ID)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if len(channels) == 0 {
			continue
		}
		if s.now().Sub(w.since) >= silentGrace {
			errs = append(errs, s.tellSilent(ctx, w, o.ID))
		}
		errs = append(errs, s.tellCare(ctx, w, o.ID))
		errs = append(errs, s.tellGroups(ctx, w, o.ID))
	}
	return errors.Join(errs...)
}

// tellSilent tells of the endpoints of one organisation that fell silent: once for each
// incident in an hour, and once for all others, not once for each PC.
func (s *Acts) tellSilent(ctx context.Context, w *noticeWatch, organisationID string) error {
	list, err := endpoint.List(ctx, s.db.Read(), organisationID)
	if err != nil {
		return err
	}
	incidents, err := incident.List(ctx, s.db.Read(), organisationID)
	if err != nil {
		return err
	}
	in := map[string]incident.Incident{} // endpoint to an open incident
	for _, i := range incidents {
		if !i.ClosedAt.IsZero() || i.Drill {
			continue
		}
		for _, e := range i.EndpointIDs {
			in[e] = i
		}
	}
	now := s.now()
	// The hour in which the newest of them fell silent makes the key: one that all who look
	// again find, after a new start too.
	newest := map[string]time.Time{}
	news := map[string]bool{}
	for _, e := range list {
		e = s.asOfNow(e)
		most := silentAlways
		if in[e.ID].ID != "" || e.Isolation.Desired == endpoint.Isolated {
			most = silentInIncident
		}
		if !e.RevokedAt.IsZero() || e.Origin == endpoint.ByKit || e.Online || e.LastSeenAt.IsZero() || now.Sub(e.LastSeenAt) < most {
			continue
		}
		mark := e.ID + " " + e.LastSeenAt.UTC().Format("2006-01-02T15")
		of := in[e.ID].ID
		if at := e.LastSeenAt.Add(most); at.After(newest[of]) {
			newest[of] = at
		}
		if !w.silent[mark] {
			w.silent[mark] = true
			news[of] = true
		}
	}
	for _, of := range slices.Sorted(maps.Keys(news)) {
		n := notify.Event{Kind: notify.EndpointSilent, OrganisationID: organisationID, Path: "/", Key: hourly(notify.EndpointSilent, of, newest[of])}
		for _, i := range incidents {
			if i.ID == of && of != "" {
				n.IncidentNumber, n.Path = i.Number, "/incidents/"+i.ID
			}
		}
		if err := s.announceAlone(ctx, n); err != nil {
			return err
		}
	}
	return nil
}

// tellGroups tells what became of the groups of one organisation that were cut lately.
func (s *Acts) tellGroups(ctx context.Context, w *noticeWatch, organisationID string) error {
	list, err := group.List(ctx, s.db.Read(), organisationID, limit(0))
	if err != nil {
		return err
	}
	now := s.now()
	for _, g := range list {
		if w.groups[g.ID] || g.Drill || g.CutAt.IsZero() || now.Sub(g.CutAt) > 24*time.Hour {
			continue
		}
		members, err := group.Members(ctx, s.db.Read(), g.ID)
		if err != nil {
			return err
		}
		var ids []string
		for _, m := range members {
			if m.CommandID != "" {
				ids = append(ids, m.CommandID)
			}
		}
		commands, err := dispatch.ByIDs(ctx, s.db.Read(), ids)
		if err != nil {
			return err
		}
		n := notify.Event{Kind: notify.GroupResult, OrganisationID: organisationID, Key: "group " + g.ID, Path: "/groups/" + g.ID, Verb: g.Verb, Of: len(ids)}
		ended := 0
		for _, c := range commands {
			if c.Status.Final() {
				ended++
			}
			if c.Status == dispatch.Done {
				n.Done++
			}
		}
		if ended < len(ids) && now.Sub(g.CutAt) < groupSettles {
			continue
		}
		if g.IncidentID != "" {
			inc, err := incident.FindBare(ctx, s.db.Read(), organisationID, g.IncidentID)
			if err != nil {
				return err
			}
			n.IncidentNumber = inc.Number
		}
		if err := s.announceAlone(ctx, n); err != nil {
			return err
		}
		w.groups[g.ID] = true
	}
	return nil
}

// announceAlone tells of something that is no deed of anybody.
func (s *Acts) announceAlone(ctx context.Context, n notify.Event) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		d.actor = Actor{Kind: BySystem, OrganisationID: n.OrganisationID}
		return s.announce(ctx, d, n)
	})
}
