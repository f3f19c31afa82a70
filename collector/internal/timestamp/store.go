package timestamp

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"hozen/collector/internal/sqldb"
)

// Token is one time stamp of a signed checkpoint.
type Token struct {
	OrganisationID string
	Size           int64  // entries of the ledger that it covers
	Note           string // the signed checkpoint whose exact bytes were stamped
	NoteSHA256     string // hexadecimal: the imprint
	Response       []byte // TimeStampResp, DER: what "openssl ts -verify -in" takes
	SHA256         string // of Response, hexadecimal
	// ChainPEM are the certificates above the authority's own, up to a root that was trusted
	// when the token came. Whoever checks the token compares the root by another way.
	ChainPEM   string
	Authority  string // URL that was asked
	Policy     string
	Serial     string
	At         time.Time     // by the authority's clock
	Accuracy   time.Duration // 0: not said
	ReceivedAt time.Time     // by the collector's clock
	Reason     Reason
	LedgerIdx  int64 // of the entry [ActStamped]
}

// Reason says why a checkpoint was stamped.
type Reason string

// The reasons.
const (
	ForExport Reason = "export" // an evidence package carries it
	ByClock   Reason = "hourly" // entries came since the last one
	OnDemand  Reason = "asked"  // a person asked
)

const columns = `organisation_id, size, note, note_sha256, response, sha256, chain, authority, policy, serial, stamped_at, accuracy_ns, received_at, reason, ledger_idx`

func insert(ctx context.Context, tx *sqldb.Tx, t Token) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO timestamp_tokens (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)`,
		t.OrganisationID, t.Size, t.Note, t.NoteSHA256, base64.StdEncoding.EncodeToString(t.Response), t.SHA256, t.ChainPEM, sqldb.CleanText(t.Authority), t.Policy,
		t.Serial, sqldb.FormatTime(t.At), int64(t.Accuracy), sqldb.FormatTime(t.ReceivedAt), string(t.Reason), t.LedgerIdx); err != nil {
		return fmt.Errorf("store time stamp: %w", err)
	}
	return nil
}

// scan reads a row. Of a damaged answer Response stays empty: fsck tells, and the other rows
// count.
func scan(row interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var response, reason string
	var accuracy int64
	if err := row.Scan(&t.OrganisationID, &t.Size, &t.Note, &t.NoteSHA256, &response, &t.SHA256, &t.ChainPEM, &t.Authority, &t.Policy, &t.Serial,
		sqldb.ScanTime(&t.At), &accuracy, sqldb.ScanTime(&t.ReceivedAt), &reason, &t.LedgerIdx); err != nil {
		return Token{}, err
	}
	if b, err := base64.StdEncoding.DecodeString(response); err == nil {
		t.Response = b
	}
	t.Accuracy, t.Reason = time.Duration(accuracy), Reason(reason)
	return t, nil
}

func one(ctx context.Context, q sqldb.Queryer, query string, args ...any) (Token, bool, error) {
	t, err := scan(q.QueryRowContext(ctx, query, args...))
	if errors.Is(err, sql.ErrNoRows) {
		return Token{}, false, nil
	}
	if err != nil {
		return Token{}, false, fmt.Errorf("read time stamp: %w", err)
	}
	return t, true, nil
}

// Of returns the first time stamp of a signed checkpoint; false when it has none.
func Of(ctx context.Context, q sqldb.Queryer, organisationID, note string) (Token, bool, error) {
	sum := sha256.Sum256([]byte(note))
	return one(ctx, q, `SELECT `+columns+` FROM timestamp_tokens WHERE organisation_id = $1 AND note_sha256 = $2 ORDER BY ledger_idx LIMIT 1`,
		organisationID, hex.EncodeToString(sum[:]))
}

// Newest returns the time stamp that came last; false when there is none.
func Newest(ctx context.Context, q sqldb.Queryer, organisationID string) (Token, bool, error) {
	return one(ctx, q, `SELECT `+columns+` FROM timestamp_tokens WHERE organisation_id = $1 ORDER BY ledger_idx DESC LIMIT 1`, organisationID)
}

// List returns time stamps, the newest first, at most limit of them; those that stand in the ledger
// before an entry, when before is not 0.
func List(ctx context.Context, q sqldb.Queryer, organisationID string, before int64, limit int) ([]Token, error) {
	if before == 0 {
		before = 1<<63 - 1
	}
	rows, err := q.QueryContext(ctx, `SELECT `+columns+` FROM timestamp_tokens WHERE organisation_id = $1 AND ledger_idx < $2 ORDER BY ledger_idx DESC LIMIT $3`,
		organisationID, before, limit)
	if err != nil {
		return nil, fmt.Errorf("list time stamps: %w", err)
	}
	defer rows.Close()
	var out []Token
	for rows.Next() {
		t, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("list time stamps: %w", err)
		}
		out = append(out, t)
	}
	return out, rows.Err()
}
