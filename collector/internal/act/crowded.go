package act

import "context"

// EndpointCrowded records that an endpoint had more connections at one time than an
// agent makes: its line is very bad, or somebody else has its key.
func (s *Acts) EndpointCrowded(ctx context.Context, endpointID, remote string) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		if _, err := d.agent(ctx, endpointID); err != nil {
			return err
		}
		_, err := d.record(ctx, "endpoint.crowded", endpointID, map[string]string{"remote": remote})
		return err
	})
}
