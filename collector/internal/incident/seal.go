package incident

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// ActSeal is the act of an entry that speaks for the lines of a timeline that were written
// before entries said which lines name them: how many there are (detail "lines"), and the
// SHA-256 of all (detail "older"). Its subject is the incident.
const ActSeal = "incident.seal"

// kept is a line of a timeline as the audit holds it.
type kept struct {
	id, incident string
	idx          int64
	sum          string
}

// SealOlder makes the entries of [ActSeal] of an organisation, if it has lines of an earlier
// version that none speaks for, and returns how many it made. It is called at the start,
// before any other line is written. Once the ledger speaks of lines it makes none: then a line
// of which it does not speak is one that somebody wrote by hand.
func SealOlder(ctx context.Context, tx *sqldb.Tx, organisationID string, at time.Time) (int, error) {
	res, err := tx.ExecContext(ctx, `DELETE FROM incident_unsealed WHERE organisation_id = $1`, organisationID)
	if err != nil {
		return 0, fmt.Errorf("seal older timelines: %w", err)
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		return 0, err
	}
	lines, err := lines(ctx, tx)
	if err != nil {
		return 0, fmt.Errorf("seal older timelines: %w", err)
	}
	said, err := saidOf(ctx, tx, organisationID)
	if err != nil {
		return 0, fmt.Errorf("seal older timelines: %w", err)
	}
	if said.first >= 0 || len(said.seals) > 0 {
		return 0, nil
	}
	older := map[string][]kept{}
	for _, l := range lines[organisationID] {
		if said.sums[l.idx] == nil {
			older[l.incident] = append(older[l.incident], l)
		}
	}
	ids := make([]string, 0, len(older))
	for id := range older {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		if _, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: organisationID, At: at, ActorKind: "system", Act: ActSeal, Subject: id,
			Details: map[string]string{"lines": strconv.Itoa(len(older[id])), "older": sumOf(older[id])}}); err != nil {
			return 0, fmt.Errorf("seal older timelines: %w", err)
		}
	}
	return len(ids), nil
}

// Unsealed returns the organisations for which [SealOlder] has something to do.
func Unsealed(ctx context.Context, q sqldb.Queryer) (list []string, err error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id FROM incident_unsealed ORDER BY organisation_id`)
	if err != nil {
		return nil, fmt.Errorf("list older timelines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list older timelines: %w", err)
		}
		list = append(list, id)
	}
	return list, rows.Err()
}

// sumOf is the SHA-256, in hexadecimal, of one row of text for each line, in the order of the
// ledger and then of their identifiers: the index of its entry, a space, its sum, a newline.
func sumOf(lines []kept) string {
	h := sha256.New()
	for _, l := range slices.SortedFunc(slices.Values(lines), func(a, b kept) int {
		if a.idx != b.idx {
			return int(min(max(a.idx-b.idx, -1), 1))
		}
		return strings.Compare(a.id, b.id)
	}) {
		fmt.Fprintf(h, "%d %s\n", l.idx, l.sum)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// said is what the ledger of an organisation says of timelines.
type said struct {
	sums  map[int64][]string // by the index of the entry that the lines name
	about map[int64]string   // what these entries are about
	seals []ledger.Recorded
	first int64 // index of the oldest entry that speaks of a line; -1: none
}

func saidOf(ctx context.Context, q sqldb.Queryer, organisationID string) (said, error) {
	s := said{sums: map[int64][]string{}, about: map[int64]string{}, first: -1}
	err := ledger.Walk(ctx, q, organisationID, nil, func(e ledger.Recorded) {
		if e.Act == ActSeal {
			s.seals = append(s.seals, e)
		}
		sums := e.Details[DetailTimeline]
		if sums == "" {
			return
		}
		if s.first < 0 {
			s.first = e.Index
		}
		of := e.Index
		if e.Act == ActLine {
			var err error
			if of, err = strconv.ParseInt(e.Details["of"], 10, 64); err != nil {
				of = -1 // no line names it
			}
		}
		s.sums[of] = append(s.sums[of], strings.Fields(sums)...)
		s.about[of] = e.Subject
	})
	return s, err
}

// lines returns the lines of all timelines by organisation.
func lines(ctx context.Context, q sqldb.Queryer) (map[string][]kept, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+lineColumns+`, ledger_idx FROM incident_entry`)
	if err != nil {
		return nil, fmt.Errorf("read timelines: %w", err)
	}
	defer rows.Close()
	all := map[string][]kept{}
	for rows.Next() {
		var l line
		var index string
		if err := rows.Scan(&l[0], &l[1], &l[2], &l[3], &l[4], &l[5], &l[6], &l[7], &l[8], &index); err != nil {
			return nil, fmt.Errorf("read timelines: %w", err)
		}
		idx, err := strconv.ParseInt(index, 10, 64)
		if err != nil {
			idx = -1 // nobody wrote that but by hand; no entry has it
		}
		all[l[1]] = append(all[l[1]], kept{id: l[0], incident: l[2], idx: idx, sum: l.sum()})
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read timelines: %w", err)
	}
	return all, nil
}
