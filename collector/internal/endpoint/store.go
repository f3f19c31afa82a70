package endpoint

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, label, hostname, os, arch, platform, agent_version, capability, boot_id, enrolled_at,
	last_seen_at, clock_offset_ns, revoked_at, spooled, isolation_desired, isolation_observed, isolation_measured_at,
	isolation_received_at, isolation_way_home, isolation_rules_digest, isolation_dropped, isolation_detail,
	isolation_command_id, isolation_capable, isolation_more, remote_addr, site, purpose, origin`

func scan(s interface{ Scan(dest ...any) error }) (Endpoint, error) {
	var e Endpoint
	i := &e.Isolation
	err := s.Scan(&e.ID, &e.OrganisationID, &e.Label, &e.Hostname, &e.OS, &e.Arch, &e.Platform, &e.AgentVersion, &e.Capability, &e.BootID,
		sqldb.ScanTime(&e.EnrolledAt), sqldb.ScanTime(&e.LastSeenAt), (*int64)(&e.ClockOffset), sqldb.ScanTime(&e.RevokedAt), &e.Spooled,
		&i.Desired, &i.Observed, sqldb.ScanTime(&i.MeasuredAt), sqldb.ScanTime(&i.ReceivedAt), sqldb.ScanBool(&i.WayHome),
		&i.RulesDigest, &i.DroppedPackets, &i.Detail, &i.CommandID, sqldb.ScanBool(&i.Capable), scanMeasured{&i.More}, &e.RemoteAddr, &e.Site, &e.Purpose, &e.Origin)
	if errors.Is(err, sql.ErrNoRows) {
		return Endpoint{}, ErrNotFound
	}
	if err != nil {
		return Endpoint{}, fmt.Errorf("read endpoint: %w", err)
	}
	return e, nil
}

// Insert adds an endpoint that has just become known.
func Insert(ctx context.Context, tx *sqldb.Tx, e Endpoint, remoteAddr string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO endpoint_endpoint (`+columns+`, spooled_bytes)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '', 0, '', 0, $12, $13, '', '', 0, '', 0, '', '', 0, '', $14, '', '', $15, 0)`,
		e.ID, e.OrganisationID, sqldb.CleanText(e.Label), sqldb.CleanText(e.Hostname), sqldb.CleanText(e.OS), sqldb.CleanText(e.Arch),
		sqldb.CleanText(e.Platform), sqldb.CleanText(e.AgentVersion), int64(e.Capability), sqldb.CleanText(e.BootID),
		sqldb.FormatTime(e.EnrolledAt), string(Unknown), string(Unknown), remoteAddr, string(e.Origin))
	if err != nil {
		return fmt.Errorf("add endpoint: %w", err)
	}
	return nil
}

// ByID finds an endpoint, revoked ones too. Isolation is as last received, see
// [IsolationStatus.At]; Online is not known here.
func ByID(ctx context.Context, q sqldb.Queryer, id string) (Endpoint, error) {
	return scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM endpoint_endpoint WHERE id = $1`, id))
}

// List returns the endpoints of an organisation in the order of enrolment, revoked
// ones too.
func List(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Endpoint, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM endpoint_endpoint WHERE organisation_id = $1 ORDER BY enrolled_at, id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list endpoints: %w", err)
	}
	defer rows.Close()
	var list []Endpoint
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// SetLabel gives an endpoint the name that people use; empty takes it away.
func SetLabel(ctx context.Context, tx *sqldb.Tx, id, label string) error {
	return exec(ctx, tx, "label endpoint", `UPDATE endpoint_endpoint SET label = $1 WHERE id = $2`, sqldb.CleanText(label), id)
}

// Revoke bars an endpoint for ever.
func Revoke(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	return exec(ctx, tx, "revoke endpoint", `UPDATE endpoint_endpoint SET revoked_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id)
}

// Describe stores what an endpoint said of itself when it connected.
func Describe(ctx context.Context, tx *sqldb.Tx, id string, d Description, remoteAddr string, at time.Time) error {
	offset := time.Duration(0)
	if !d.AgentTime.IsZero() {
		offset = d.AgentTime.Sub(at)
	}
	return exec(ctx, tx, "describe endpoint", `UPDATE endpoint_endpoint SET hostname = $1, os = $2, arch = $3, platform = $4, agent_version = $5,
		capability = $6, boot_id = $7, spooled = $8, spooled_bytes = $9, clock_offset_ns = $10, last_seen_at = $11, remote_addr = $12 WHERE id = $13`,
		sqldb.CleanText(d.Hostname), sqldb.CleanText(d.OS), sqldb.CleanText(d.Arch), sqldb.CleanText(d.Platform), sqldb.CleanText(d.AgentVersion),
		int64(d.Capability), sqldb.CleanText(d.BootID), int64(d.Spooled), clamp(d.SpooledBytes), int64(offset), sqldb.FormatTime(at), remoteAddr, id)
}

// ByIDs finds many endpoints, see [ByID]; those that are not there are not in it.
func ByIDs(ctx context.Context, q sqldb.Queryer, endpointIDs []string) (map[string]Endpoint, error) {
	found := make(map[string]Endpoint, len(endpointIDs))
	for ids, in := range sqldb.In(endpointIDs, 1) {
		if err := byIDs(ctx, q, ids, in, found); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func byIDs(ctx context.Context, q sqldb.Queryer, ids []any, in string, found map[string]Endpoint) error {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM endpoint_endpoint WHERE id IN `+in, ids...)
	if err != nil {
		return fmt.Errorf("read endpoints: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		e, err := scan(rows)
		if err != nil {
			return err
		}
		found[e.ID] = e
	}
	return rows.Err()
}

// Seen stores that an endpoint was heard of.
func Seen(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	return exec(ctx, tx, "record that endpoint was seen", `UPDATE endpoint_endpoint SET last_seen_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id)
}

// SetClock stores how far the clock of an endpoint is ahead of ours.
func SetClock(ctx context.Context, tx *sqldb.Tx, id string, offset time.Duration) error {
	return exec(ctx, tx, "store clock of endpoint", `UPDATE endpoint_endpoint SET clock_offset_ns = $1 WHERE id = $2`, int64(offset), id)
}

// SetIsolation stores what an endpoint measured of its isolation, and that it was heard
// of when that was received.
func SetIsolation(ctx context.Context, tx *sqldb.Tx, id string, i IsolationStatus) error {
	more, err := i.More.text()
	if err != nil {
		return err
	}
	err = tx.Gather(ctx, sqldb.Rows{
		Table: "endpoint_endpoint", Where: "endpoint_endpoint.id = v.column12",
		Set: `isolation_desired = v.column1, isolation_observed = v.column2, isolation_measured_at = v.column3, isolation_received_at = v.column4,
			isolation_way_home = CAST(v.column5 AS BIGINT), isolation_rules_digest = v.column6, isolation_dropped = CAST(v.column7 AS BIGINT), isolation_detail = v.column8,
			isolation_command_id = v.column9, isolation_capable = CAST(v.column10 AS BIGINT), isolation_more = v.column11, last_seen_at = v.column4`,
	}, string(i.Desired), string(i.Observed), sqldb.FormatTime(i.MeasuredAt), sqldb.FormatTime(i.ReceivedAt), number(sqldb.FormatBool(i.WayHome)),
		sqldb.CleanText(i.RulesDigest), number(clamp(i.DroppedPackets)), sqldb.CleanText(i.Detail), sqldb.CleanText(i.CommandID), number(sqldb.FormatBool(i.Capable)), more, id)
	if err != nil {
		return fmt.Errorf("store isolation: %w", err)
	}
	return nil
}

// number is a number as a text.
func number(n int64) string { return strconv.FormatInt(n, 10) }

// exec runs an update that must find its one endpoint.
func exec(ctx context.Context, tx *sqldb.Tx, what, query string, args ...any) error {
	res, err := tx.ExecContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("%s: %w", what, ErrNotFound), err)
	}
	return nil
}

// clamp fits what an agent counted into a BIGINT.
func clamp(n uint64) int64 { return int64(min(n, math.MaxInt64)) }
