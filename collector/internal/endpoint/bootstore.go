package endpoint

import (
	"context"
	"encoding/json"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact/record"
)

const bootColumns = `acquisition_id, organisation_id, endpoint_id, evidence_id, boot_id, previous_boot_id, verdict, reason, asked_by, asked_type,
	asked_who, ended_after, ended_before, last_evidence_at, gap_min_ns, gap_max_ns, clock_contradicts, added_delay_ns, basis, received_at`

// columns are the row of a boot, in the order of [bootColumns].
func (b Boot) columns() ([]any, error) {
	text, err := json.Marshal(b.Basis)
	if err != nil {
		return nil, fmt.Errorf("store boot: %w", err)
	}
	return []any{
		b.AcquisitionID, b.OrganisationID, b.EndpointID, b.EvidenceID, sqldb.CleanText(b.BootID), sqldb.CleanText(b.PreviousBootID),
		sqldb.CleanText(b.Verdict), sqldb.CleanText(b.Reason), sqldb.CleanText(b.Asked.By), sqldb.CleanText(b.Asked.Type), sqldb.CleanText(b.Asked.Who),
		sqldb.FormatTime(b.EndedAfter), sqldb.FormatTime(b.EndedBefore), sqldb.FormatTime(b.LastEvidenceAt), int64(b.GapMin), int64(b.GapMax),
		sqldb.FormatBool(b.ClockContradicts), int64(b.AddedDelay), sqldb.CleanText(string(text)), sqldb.FormatTime(b.ReceivedAt)}, nil
}

// InsertBoot stores how a boot ended, and returns what the ledger's entry of [ActBoot] says of
// the row.
func InsertBoot(ctx context.Context, tx *sqldb.Tx, b Boot) (map[string]string, error) {
	columns, err := b.columns()
	if err != nil {
		return nil, err
	}
	if _, err := tx.ExecContext(ctx, `INSERT INTO endpoint_boot (`+bootColumns+`)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)`, columns...); err != nil {
		return nil, fmt.Errorf("store boot: %w", err)
	}
	texts := make([]string, len(columns))
	for i, c := range columns {
		texts[i] = fmt.Sprint(c)
	}
	return map[string]string{"acquisition": b.AcquisitionID, "verdict": b.Known(), "row_sha256": ledger.RowSum(texts...)}, nil
}

// Boots returns how the last boots of an endpoint ended, the one that was received last
// first. Records that say nothing of it, see [Boot.Judged], are passed over.
func Boots(ctx context.Context, q sqldb.Queryer, endpointID string, limit int) ([]Boot, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+bootColumns+` FROM endpoint_boot WHERE endpoint_id = $1 AND verdict NOT IN ($2, $3)
		ORDER BY received_at DESC, acquisition_id DESC LIMIT $4`, endpointID, record.BootAgentRestarted, record.BootFirstRun, limit)
	if err != nil {
		return nil, fmt.Errorf("list boots: %w", err)
	}
	defer rows.Close()
	var list []Boot
	for rows.Next() {
		var b Boot
		var basis string
		if err := rows.Scan(&b.AcquisitionID, &b.OrganisationID, &b.EndpointID, &b.EvidenceID, &b.BootID, &b.PreviousBootID, &b.Verdict, &b.Reason,
			&b.Asked.By, &b.Asked.Type, &b.Asked.Who, sqldb.ScanTime(&b.EndedAfter), sqldb.ScanTime(&b.EndedBefore), sqldb.ScanTime(&b.LastEvidenceAt),
			(*int64)(&b.GapMin), (*int64)(&b.GapMax), sqldb.ScanBool(&b.ClockContradicts), (*int64)(&b.AddedDelay), &basis, sqldb.ScanTime(&b.ReceivedAt)); err != nil {
			return nil, fmt.Errorf("list boots: %w", err)
		}
		if err := json.Unmarshal([]byte(basis), &b.Basis); err != nil {
			return nil, fmt.Errorf("list boots: %s: %w", b.AcquisitionID, err)
		}
		list = append(list, b)
	}
	return list, rows.Err()
}
