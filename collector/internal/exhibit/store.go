package exhibit

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"hozen/collector/internal/sqldb"
)

// NextNo returns the number that the next exhibit of an incident gets; floor is one below
// which none is given.
func NextNo(ctx context.Context, q sqldb.Queryer, incidentID string, floor int64) (int64, error) {
	var no int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(item_no), 0) + 1 FROM exhibit_item WHERE incident_id = $1`, incidentID).Scan(&no); err != nil {
		return 0, fmt.Errorf("number exhibit: %w", err)
	}
	return max(no, floor), nil
}

const itemColumns = `id, organisation_id, incident_id, item_no, number, parent, kind, acquisition_id, endpoint_id, created_at, created_by, ledger_idx`

// Insert adds an exhibit with what is said of it.
func Insert(ctx context.Context, tx *sqldb.Tx, i Item) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO exhibit_item (`+itemColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		i.ID, i.OrganisationID, i.IncidentID, i.No, i.Number, i.Parent, string(i.Kind), i.AcquisitionID, i.EndpointID,
		sqldb.FormatTime(i.CreatedAt), sqldb.CleanText(i.CreatedBy), i.LedgerIdx); err != nil {
		return fmt.Errorf("add exhibit: %w", err)
	}
	for n, c := range i.Changes {
		if err := insertChange(ctx, tx, i, int64(n)+1, c); err != nil {
			return err
		}
	}
	return nil
}

func insertChange(ctx context.Context, tx *sqldb.Tx, i Item, no int64, c Change) error {
	if err := tx.Gather(ctx, sqldb.Rows{Table: "exhibit_change", Columns: "item_id, change_no, organisation_id, incident_id, field, value, at, changed_by, ledger_idx"},
		i.ID, no, i.OrganisationID, i.IncidentID, string(c.Field), sqldb.CleanText(c.Value), sqldb.FormatTime(c.At), sqldb.CleanText(c.By), c.LedgerIdx); err != nil {
		return fmt.Errorf("describe exhibit: %w", err)
	}
	return nil
}

// Describe says one thing more of an exhibit, which was read in the same transaction.
func Describe(ctx context.Context, tx *sqldb.Tx, i Item, c Change) error {
	var no int64
	if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(change_no), 0) + 1 FROM exhibit_change WHERE item_id = $1`, i.ID).Scan(&no); err != nil {
		return fmt.Errorf("describe exhibit: %w", err)
	}
	return insertChange(ctx, tx, i, no, c)
}

// Items returns the exhibits of an incident in the order of their numbers.
func Items(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Item, error) {
	list, err := queryItems(ctx, q, `incident_id = $1 ORDER BY item_no`, incidentID)
	if err != nil {
		return nil, err
	}
	return list, addChanges(ctx, q, list, `incident_id = $1`, incidentID)
}

// Find finds an exhibit by its identifier or its number.
func Find(ctx context.Context, q sqldb.Queryer, organisationID, idOrNumber string) (Item, error) {
	list, err := queryItems(ctx, q, `organisation_id = $1 AND (id = $2 OR number = $2)`, organisationID, sqldb.CleanText(idOrNumber))
	if err != nil {
		return Item{}, err
	}
	return one(ctx, q, list)
}

// OfAcquisition finds the exhibit that an acquisition is.
func OfAcquisition(ctx context.Context, q sqldb.Queryer, acquisitionID string) (Item, error) {
	list, err := queryItems(ctx, q, `acquisition_id = $1 AND acquisition_id <> ''`, acquisitionID)
	if err != nil {
		return Item{}, err
	}
	return one(ctx, q, list)
}

func one(ctx context.Context, q sqldb.Queryer, list []Item) (Item, error) {
	if len(list) != 1 {
		return Item{}, ErrNotFound
	}
	err := addChanges(ctx, q, list, `item_id = $1`, list[0].ID)
	return list[0], err
}

func queryItems(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Item, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+itemColumns+` FROM exhibit_item WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read exhibits: %w", err)
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		var i Item
		if err := rows.Scan(&i.ID, &i.OrganisationID, &i.IncidentID, &i.No, &i.Number, &i.Parent, &i.Kind, &i.AcquisitionID, &i.EndpointID,
			sqldb.ScanTime(&i.CreatedAt), &i.CreatedBy, &i.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read exhibits: %w", err)
		}
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read exhibits: %w", err)
	}
	return list, nil
}

func addChanges(ctx context.Context, q sqldb.Queryer, list []Item, cond string, arg any) error {
	rows, err := q.QueryContext(ctx, `SELECT item_id, field, value, at, changed_by, ledger_idx FROM exhibit_change WHERE `+cond+` ORDER BY item_id, ledger_idx, change_no`, arg)
	if err != nil {
		return fmt.Errorf("read exhibits: %w", err)
	}
	defer rows.Close()
	at := make(map[string]int, len(list))
	for n, i := range list {
		at[i.ID] = n
	}
	for rows.Next() {
		var item string
		var c Change
		if err := rows.Scan(&item, &c.Field, &c.Value, sqldb.ScanTime(&c.At), &c.By, &c.LedgerIdx); err != nil {
			return fmt.Errorf("read exhibits: %w", err)
		}
		if n, ok := at[item]; ok {
			list[n].Changes = append(list[n].Changes, c)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read exhibits: %w", err)
	}
	return nil
}

const eventColumns = `incident_id, seq, organisation_id, item_id, type, at, clock, from_person, from_org, to_person, to_org, place, medium_type, medium_serial, seal_no,
	carrier, tracking_no, purpose, hash_before, hash_after, result, witness, note, recorded_at, actor_kind, actor_id, actor_name, ledger_idx`

// NextSeq returns the number that the next event of an incident gets.
func NextSeq(ctx context.Context, q sqldb.Queryer, incidentID string) (int64, error) {
	var seq int64
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(seq), 0) + 1 FROM exhibit_event WHERE incident_id = $1`, incidentID).Scan(&seq); err != nil {
		return 0, fmt.Errorf("number custody event: %w", err)
	}
	return seq, nil
}

// Add adds an event, numbered by [NextSeq] in the same transaction.
func Add(ctx context.Context, tx *sqldb.Tx, e Event) error {
	if err := tx.Gather(ctx, sqldb.Rows{Table: "exhibit_event", Columns: eventColumns},
		e.IncidentID, e.Seq, e.OrganisationID, e.ItemID, string(e.Type), sqldb.FormatTime(e.At), e.Clock,
		e.From.Person, e.From.Organisation, e.To.Person, e.To.Organisation, e.Place, e.Medium.Type, e.Medium.Serial, e.Medium.SealNo,
		e.Carrier, e.TrackingNo, e.Purpose, e.HashBefore, e.HashAfter, e.Result, e.Witness, e.Text,
		sqldb.FormatTime(e.RecordedAt), e.ActorKind, e.ActorID, e.ActorName, e.LedgerIdx); err != nil {
		return fmt.Errorf("add custody event: %w", err)
	}
	return nil
}

// Clean returns the event with texts as the database keeps them.
func (e Event) Clean() Event {
	for _, s := range []*string{&e.From.Person, &e.From.Organisation, &e.To.Person, &e.To.Organisation, &e.Place, &e.Medium.Type, &e.Medium.Serial, &e.Medium.SealNo,
		&e.Carrier, &e.TrackingNo, &e.Purpose, &e.Witness, &e.Text, &e.ActorID, &e.ActorName} {
		*s = sqldb.CleanText(strings.TrimSpace(*s))
	}
	e.At, e.RecordedAt = e.At.UTC().Round(0), e.RecordedAt.UTC().Round(0)
	return e
}

// Events returns all events of an incident in the order in which they were recorded; see
// [Of] for those of one exhibit.
func Events(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Event, error) {
	return queryEvents(ctx, q, `incident_id = $1 ORDER BY seq`, incidentID)
}

func queryEvents(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Event, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+eventColumns+` FROM exhibit_event WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read custody events: %w", err)
	}
	defer rows.Close()
	var list []Event
	for rows.Next() {
		var e Event
		if err := rows.Scan(&e.IncidentID, &e.Seq, &e.OrganisationID, &e.ItemID, &e.Type, sqldb.ScanTime(&e.At), &e.Clock,
			&e.From.Person, &e.From.Organisation, &e.To.Person, &e.To.Organisation, &e.Place, &e.Medium.Type, &e.Medium.Serial, &e.Medium.SealNo,
			&e.Carrier, &e.TrackingNo, &e.Purpose, &e.HashBefore, &e.HashAfter, &e.Result, &e.Witness, &e.Text,
			sqldb.ScanTime(&e.RecordedAt), &e.ActorKind, &e.ActorID, &e.ActorName, &e.LedgerIdx); err != nil {
			return nil, fmt.Errorf("read custody events: %w", err)
		}
		list = append(list, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read custody events: %w", err)
	}
	return list, nil
}

// FindRetention returns how many days an organisation keeps evidence and since when that is
// set; 0: no period is set, and zero: none ever was.
func FindRetention(ctx context.Context, q sqldb.Queryer, organisationID string) (days int, since time.Time, err error) {
	err = q.QueryRowContext(ctx, `SELECT days, at FROM exhibit_retention WHERE organisation_id = $1 ORDER BY ledger_idx DESC LIMIT 1`, organisationID).
		Scan(&days, sqldb.ScanTime(&since))
	if errors.Is(err, sql.ErrNoRows) {
		return 0, time.Time{}, nil
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("read retention: %w", err)
	}
	return days, since, nil
}

// SetRetention sets how long an organisation keeps evidence.
func SetRetention(ctx context.Context, tx *sqldb.Tx, organisationID string, c Change, days int) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO exhibit_retention (organisation_id, ledger_idx, days, at, changed_by) VALUES ($1, $2, $3, $4, $5)`,
		organisationID, c.LedgerIdx, days, sqldb.FormatTime(c.At), sqldb.CleanText(c.By)); err != nil {
		return fmt.Errorf("set retention: %w", err)
	}
	return nil
}

// Acquisitions returns the acquisitions of an organisation that are exhibits.
func Acquisitions(ctx context.Context, q sqldb.Queryer, organisationID string) (map[string]bool, error) {
	items, err := OfOrganisation(ctx, q, organisationID)
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(items))
	for _, i := range items {
		have[i.AcquisitionID] = true
	}
	return have, nil
}

// OfOrganisation returns all exhibits of an organisation, without what is said of them.
func OfOrganisation(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Item, error) {
	return queryItems(ctx, q, `organisation_id = $1 ORDER BY incident_id, item_no`, organisationID)
}

// Viewed reports whether a person looked at an exhibit since some moment, as the collector
// recorded it by itself or somebody wrote down.
func Viewed(ctx context.Context, q sqldb.Queryer, i Item, actorID string, since time.Time) (bool, error) {
	var n int
	if err := q.QueryRowContext(ctx, `SELECT COUNT(*) FROM exhibit_event WHERE incident_id = $1 AND item_id = $2 AND type = $3 AND actor_id = $4 AND recorded_at > $5`,
		i.IncidentID, i.ID, string(View), actorID, sqldb.FormatTime(since)).Scan(&n); err != nil {
		return false, fmt.Errorf("read custody of %s: %w", i.ID, err)
	}
	return n > 0, nil
}
