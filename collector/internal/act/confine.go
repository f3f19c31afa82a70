package act

import (
	"context"
	"reflect"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
)

// confined are the incidents that somebody from outside may see; nil: not confined.
type confined map[string]bool

// confinement finds out what somebody may see. Only people of the role vendor are confined,
// and to nothing at all without a grant.
func (s *Acts) confinement(ctx context.Context, q sqldb.Queryer, o operator.Operator) (confined, error) {
	if o.Role != operator.Vendor {
		return nil, nil
	}
	list, err := operator.Grants(ctx, q, o.ID)
	if err != nil {
		return nil, err
	}
	c := confined{}
	for _, g := range list {
		if g.OrganisationID == o.OrganisationID && g.Until.After(s.now()) {
			c[g.IncidentID] = true
		}
	}
	return c, nil
}

// reach tells the deed that it concerns an incident. One that was not granted does not
// exist. A deed of somebody who is confined fails if it never says what it concerns.
func (d *deed) reach(incidentID string) error {
	if err := d.actor.within(incidentID); err != nil {
		return err
	}
	d.reached = true
	return nil
}

// within refuses what belongs to an incident that was not granted, as if it did not exist.
func (a Actor) within(incidentID string) error {
	if a.only != nil && !a.only[incidentID] {
		return ErrNotFound
	}
	return nil
}

// confine takes out of an answer what its reader was not granted. This is the one place
// where that is decided for everything that acts return: a value says by its field
// IncidentID, or Incident, what it belongs to. A list loses what does not belong; a single
// thing does not exist; what does not say is left out. So an act that nobody thought of
// here shows nothing rather than everything.
func confine[T any](ctx context.Context, s *Acts, q sqldb.Queryer, a Actor, v T) (T, error) {
	if a.only == nil {
		return v, nil
	}
	var none T
	rv := reflect.ValueOf(v)
	if !rv.IsValid() {
		return none, nil
	}
	if rv.Kind() != reflect.Slice {
		ok, err := s.belongs(ctx, q, a, rv)
		if err != nil {
			return none, err
		}
		if !ok {
			return none, ErrNotFound
		}
		return v, nil
	}
	kept := reflect.MakeSlice(rv.Type(), 0, rv.Len())
	for i := range rv.Len() {
		ok, err := s.belongs(ctx, q, a, rv.Index(i))
		if err != nil {
			return none, err
		}
		if ok {
			kept = reflect.Append(kept, rv.Index(i))
		}
	}
	return kept.Interface().(T), nil
}

// belongs reports whether one value belongs to an incident that was granted.
func (s *Acts) belongs(ctx context.Context, q sqldb.Queryer, a Actor, rv reflect.Value) (bool, error) {
	for rv.Kind() == reflect.Pointer {
		if rv.IsNil() {
			return true, nil
		}
		rv = rv.Elem()
	}
	if !rv.CanInterface() {
		return false, nil
	}
	switch v := rv.Interface().(type) {
	case incident.Incident:
		return a.only[v.ID], nil
	case endpoint.Endpoint:
		return s.inGranted(ctx, q, a, v.ID)
	case endpoint.Boot:
		return s.acquiredFor(ctx, a, v.AcquisitionID)
	case evidence.Sealed:
		return true, nil // its act asked: the bytes do not say
	case organisation.Isolation:
		return true, nil // how the organisation isolates is no secret and stands on every isolated PC
	}
	if rv.Kind() != reflect.Struct {
		return false, nil
	}
	if f := rv.FieldByName("IncidentID"); f.IsValid() && f.Kind() == reflect.String {
		return a.only[f.String()], nil
	}
	if f := rv.FieldByName("Incident"); f.IsValid() && f.CanInterface() {
		if inc, ok := f.Interface().(incident.Incident); ok {
			return a.only[inc.ID], nil
		}
	}
	return false, nil
}

// inGranted reports whether an endpoint is part of an incident that was granted.
func (s *Acts) inGranted(ctx context.Context, q sqldb.Queryer, a Actor, endpointID string) (bool, error) {
	for id := range a.only {
		members, err := incident.Endpoints(ctx, q, id)
		if err != nil {
			return false, err
		}
		for _, m := range members {
			if m == endpointID {
				return true, nil
			}
		}
	}
	return false, nil
}

// acquiredFor reports whether an acquisition belongs to an incident that was granted.
func (s *Acts) acquiredFor(ctx context.Context, a Actor, acquisitionID string) (bool, error) {
	acq, err := s.evidence.Acquisition(ctx, a.OrganisationID, acquisitionID)
	if err != nil {
		return false, err
	}
	return a.only[acq.IncidentID], nil
}

// Listen returns the live news that somebody may hear from now on, as [Hub.Subscribe] does.
// What somebody from outside may hear is asked at each event: a grant that ends, ends it.
func (s *Acts) Listen(ctx context.Context, a Actor) (<-chan Event, func(), error) {
	who, err := s.identify(ctx, s.db.Read(), a, mayLook)
	if err != nil {
		return nil, nil, err
	}
	events, cancel := s.hub.Subscribe(who.OrganisationID)
	if who.only == nil {
		return events, cancel, nil
	}
	ctx, stop := context.WithCancel(ctx)
	some := make(chan Event, eventBuffer)
	go func() {
		defer close(some)
		for {
			select {
			case <-ctx.Done():
				return
			case e, ok := <-events:
				if !ok {
					return
				}
				now, err := s.identify(ctx, s.db.Read(), a, mayLook)
				if err != nil {
					return // somebody who is barred hears nothing more
				}
				if !now.only[e.IncidentID] {
					continue
				}
				select {
				case some <- e:
				default: // whoever lags loses freshness, never truth
				}
			}
		}
	}()
	return some, func() { stop(); cancel() }, nil
}
