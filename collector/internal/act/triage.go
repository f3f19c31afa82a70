package act

import (
	"context"
	"strconv"
	"sync"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// EndpointSettings is what an endpoint is told that its organisation has set.
type EndpointSettings struct {
	// Recipients are the public keys (age) to which evidence is encrypted while it waits there.
	Recipients []string
	// Triage is what of people's own may be read; nil: the organisation has not said.
	Triage *organisation.Triage
}

// settingsCache keeps what every endpoint asks for whenever it is woken.
type settingsCache struct {
	mu     sync.Mutex
	triage map[string]*organisation.Triage // by organisation
	turn   int                             // counts changes: what was read before one is not kept after it
}

func (c *settingsCache) find(organisationID string) (t *organisation.Triage, turn int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, ok = c.triage[organisationID]
	return t, c.turn, ok
}

func (c *settingsCache) keep(organisationID string, t *organisation.Triage, turn int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.turn != turn {
		return
	}
	if c.triage == nil {
		c.triage = map[string]*organisation.Triage{}
	}
	c.triage[organisationID] = t
}

func (c *settingsCache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn++
	clear(c.triage)
}

// EndpointSettings returns what an endpoint's organisation has set.
func (s *Acts) EndpointSettings(ctx context.Context, endpointID string) (EndpointSettings, error) {
	organisationID := s.hub.organisationOf(endpointID)
	if organisationID == "" {
		e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
		if err != nil {
			return EndpointSettings{}, err
		}
		organisationID = e.OrganisationID
	}
	var out EndpointSettings
	t, turn, ok := s.settings.find(organisationID)
	if !ok {
		var err error
		if t, err = organisation.FindTriage(ctx, s.db.Read(), organisationID); err != nil {
			return EndpointSettings{}, err
		}
		s.settings.keep(organisationID, t, turn)
	}
	out.Triage = t
	if s.kits != nil && s.kits.Recipients != nil {
		var err error
		if out.Recipients, err = s.kits.Recipients(ctx, organisationID); err != nil {
			return EndpointSettings{}, err
		}
	}
	return out, nil
}

// TriageScope returns what of people's own the actor's organisation lets be read; said is
// false where it has said nothing and the default counts.
func (s *Acts) TriageScope(ctx context.Context, a Actor) (t organisation.Triage, said bool, err error) {
	found, err := read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (*organisation.Triage, error) {
		return organisation.FindTriage(ctx, q, a.OrganisationID)
	})
	if err != nil {
		return organisation.Triage{}, false, err
	}
	if found == nil {
		return organisation.DefaultTriage(), false, nil
	}
	return *found, true, nil
}

// SetTriageScope says what of people's own is read from now on. Endpoints that are connected
// hear of it at once, the others when they connect.
func (s *Acts) SetTriageScope(ctx context.Context, a Actor, t organisation.Triage) error {
	var organisationID string
	err := s.write(ctx, a, maySettle, func(ctx context.Context, d *deed) error {
		organisationID = d.actor.OrganisationID
		if err := organisation.SetTriage(ctx, d.tx, organisationID, t); err != nil {
			return err
		}
		_, err := d.record(ctx, organisation.ActTriage, organisationID, map[string]string{"private": strconv.FormatBool(t.Private), "histories": strconv.FormatBool(t.Histories)})
		return err
	})
	if err != nil {
		return err
	}
	s.settings.forget()
	s.hub.wakeAll(organisationID)
	return nil
}
