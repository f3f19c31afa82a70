package dispatch

import (
	"context"

	"hozen/collector/internal/sqldb"
)

// NewestCuts returns, for each endpoint of an organisation that was ever ordered to cut or to
// open its network, the newest such order, if it is one to cut.
func NewestCuts(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Command, error) {
	return list(ctx, q, `WHERE organisation_id = $1 AND verb = $2 AND NOT EXISTS (SELECT 1 FROM dispatch_command n
		WHERE n.endpoint_id = dispatch_command.endpoint_id AND n.verb IN ($3, $4) AND n.counter > dispatch_command.counter) ORDER BY issued_at, id`,
		organisationID, string(Isolate), string(Isolate), string(Release))
}
