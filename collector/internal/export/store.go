package export

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

const columns = `id, organisation_id, incident_id, number, at, actor_kind, actor_id, actor_name, recipient, purpose, hosts, profiles,
	ledger_size, ledger_root, frozen, checkpoint, finished_at, sha256, size`

// NextNumber returns the number that the next package of an incident gets.
func NextNumber(ctx context.Context, q sqldb.Queryer, organisationID, incidentID, incidentNumber string) (no int64, number string, err error) {
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(package_no), 0) + 1 FROM export_package WHERE organisation_id = $1 AND incident_id = $2`,
		organisationID, incidentID).Scan(&no); err != nil {
		return 0, "", fmt.Errorf("number package: %w", err)
	}
	return no, fmt.Sprintf("%s-P%02d", incidentNumber, no), nil
}

// Insert stores the record of a package under its number, and returns [FrozenSHA256] of it.
func Insert(ctx context.Context, tx *sqldb.Tx, no int64, r Record) (frozenSHA256 string, err error) {
	hosts, err := json.Marshal(r.Hosts)
	if err != nil {
		return "", fmt.Errorf("store package: %w", err)
	}
	profiles, err := json.Marshal(r.Profiles)
	if err != nil {
		return "", fmt.Errorf("store package: %w", err)
	}
	frozen, err := json.Marshal(r.Frozen)
	if err != nil {
		return "", fmt.Errorf("store package: %w", err)
	}
	stored := sqldb.CleanText(string(frozen))
	if _, err := tx.ExecContext(ctx, `INSERT INTO export_package (`+columns+`, package_no)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`,
		r.ID, r.OrganisationID, r.IncidentID, r.Number, sqldb.FormatTime(r.At), r.ActorKind, r.ActorID, sqldb.CleanText(r.ActorName),
		sqldb.CleanText(r.Recipient), sqldb.CleanText(r.Purpose), string(hosts), string(profiles), r.LedgerSize, r.LedgerRoot,
		stored, "", sqldb.FormatTime(r.FinishedAt), r.SHA256, r.Size, no); err != nil {
		return "", fmt.Errorf("store package: %w", err)
	}
	return ledger.Short("frozen", stored), nil
}

// Finish notes what came of the first complete writing of a package.
func Finish(ctx context.Context, tx *sqldb.Tx, r Record) error {
	if _, err := tx.ExecContext(ctx, `UPDATE export_package SET finished_at = $1, sha256 = $2, size = $3 WHERE id = $4 AND sha256 = ''`,
		sqldb.FormatTime(r.FinishedAt), r.SHA256, r.Size, r.ID); err != nil {
		return fmt.Errorf("finish package: %w", err)
	}
	return nil
}

// KeepCheckpoint notes the checkpoint that a package carries and the key that checks it,
// unless it has one or was written without.
func KeepCheckpoint(ctx context.Context, tx *sqldb.Tx, id, note, verifierKey string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE export_package SET checkpoint = $1 WHERE id = $2 AND checkpoint = '' AND sha256 = ''`, verifierKey+"\n"+note, id); err != nil {
		return fmt.Errorf("keep checkpoint of package: %w", err)
	}
	return nil
}

// Find finds a package by its identifier or its number.
func Find(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Record, error) {
	r, err := scan(q.QueryRowContext(ctx, `SELECT `+columns+` FROM export_package WHERE organisation_id = $1 AND (id = $2 OR number = $2)`,
		organisationID, sqldb.CleanText(idOrNumber)))
	if errors.Is(err, sql.ErrNoRows) {
		return Record{}, ErrNotFound
	}
	if err != nil {
		return Record{}, fmt.Errorf("read package: %w", err)
	}
	return r, nil
}

// List returns the packages of an incident, newest first.
func List(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) ([]Record, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM export_package WHERE organisation_id = $1 AND incident_id = $2 ORDER BY package_no DESC`,
		organisationID, incidentID)
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	defer rows.Close()
	var list []Record
	for rows.Next() {
		r, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list packages: %w", err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

func scan(row interface{ Scan(...any) error }) (Record, error) {
	var r Record
	var hosts, profiles, frozen, signed string
	if err := row.Scan(&r.ID, &r.OrganisationID, &r.IncidentID, &r.Number, sqldb.ScanTime(&r.At), &r.ActorKind, &r.ActorID, &r.ActorName,
		&r.Recipient, &r.Purpose, &hosts, &profiles, &r.LedgerSize, &r.LedgerRoot, &frozen, &signed,
		sqldb.ScanTime(&r.FinishedAt), &r.SHA256, &r.Size); err != nil {
		return Record{}, err
	}
	r.CheckpointKey, r.Checkpoint, _ = strings.Cut(signed, "\n")
	return r, errors.Join(json.Unmarshal([]byte(hosts), &r.Hosts), json.Unmarshal([]byte(profiles), &r.Profiles), json.Unmarshal([]byte(frozen), &r.Frozen))
}
