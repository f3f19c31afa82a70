package act

import (
	"context"
	"time"

	"hozen/collector/internal/endpoint"
)

// clocks is the thing of a [restraint] that is about clocks that jump.
const clocks = "clocks"

// EndpointClock stores how far an endpoint's clock is ahead of ours by its newest word. A
// clock that was put right or wrong since it connected is a fact of the case.
func (s *Acts) EndpointClock(ctx context.Context, endpointID string, offset time.Duration) error {
	if !s.presence.tick(endpointID, offset) {
		return nil
	}
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		if err := endpoint.SetClock(ctx, d.tx, e.ID, offset); err != nil {
			return err
		}
		d.after = append(d.after, func() { s.presence.ticked(e.ID, offset) })
		if (offset - e.ClockOffset).Abs() < endpoint.ClockJump {
			return nil
		}
		d.tell(s, Event{Kind: EventEndpoint, EndpointID: e.ID})
		held, ok := s.restraint.may(e.ID, clocks, d.now)
		if !ok {
			d.after = append(d.after, func() { s.restraint.hold(e.ID, clocks, d.now) })
			return nil
		}
		d.after = append(d.after, func() { s.restraint.wrote(e.ID, clocks, d.now) })
		facts := map[string]string{"from": e.ClockOffset.Round(time.Millisecond).String(), "to": offset.Round(time.Millisecond).String()}
		held.tell(facts)
		_, err = d.record(ctx, "endpoint.clock", e.ID, facts)
		return err
	})
}
