package notify

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

const channelColumns = `id, organisation_id, kind, name, language, settings, secret, kinds, enabled, created_at, changed_at`

type scanner interface{ Scan(dest ...any) error }

func scanChannel(s scanner) (Channel, error) {
	var c Channel
	var settings, kinds string
	err := s.Scan(&c.ID, &c.OrganisationID, &c.Kind, &c.Name, &c.Language, &settings, &c.Sealed, &kinds, sqldb.ScanBool(&c.Enabled),
		sqldb.ScanTime(&c.CreatedAt), sqldb.ScanTime(&c.ChangedAt))
	if errors.Is(err, sql.ErrNoRows) {
		return Channel{}, ErrNotFound
	}
	if err == nil {
		err = errors.Join(json.Unmarshal([]byte(settings), &c.Settings), json.Unmarshal([]byte(kinds), &c.Kinds))
	}
	if err != nil {
		return Channel{}, fmt.Errorf("read channel: %w", err)
	}
	return c, nil
}

// SaveChannel stores a channel, new or known.
func SaveChannel(ctx context.Context, tx *sqldb.Tx, c Channel) error {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return fmt.Errorf("encode channel: %w", err)
	}
	if c.Kinds == nil {
		c.Kinds = []Kind{}
	}
	kinds, err := json.Marshal(c.Kinds)
	if err != nil {
		return fmt.Errorf("encode channel: %w", err)
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO notify_channel (`+channelColumns+`, removed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, '')
		ON CONFLICT (id) DO UPDATE SET name = excluded.name, language = excluded.language, settings = excluded.settings, secret = excluded.secret,
			kinds = excluded.kinds, enabled = excluded.enabled, changed_at = excluded.changed_at`,
		c.ID, c.OrganisationID, string(c.Kind), sqldb.CleanText(c.Name), c.Language, string(settings), c.Sealed, string(kinds), sqldb.FormatBool(c.Enabled),
		sqldb.FormatTime(c.CreatedAt), sqldb.FormatTime(c.ChangedAt))
	if err != nil {
		return fmt.Errorf("store channel: %w", err)
	}
	return nil
}

// RemoveChannel takes a channel away with its secret. What was sent by it stays known.
func RemoveChannel(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE notify_channel SET removed_at = $1, secret = '', enabled = 0 WHERE id = $2`, sqldb.FormatTime(at), id)
	if err != nil {
		return fmt.Errorf("remove channel: %w", err)
	}
	return nil
}

// ChannelByID finds a channel that was not removed.
func ChannelByID(ctx context.Context, q sqldb.Queryer, id string) (Channel, error) {
	return scanChannel(q.QueryRowContext(ctx, `SELECT `+channelColumns+` FROM notify_channel WHERE id = $1 AND removed_at = ''`, id))
}

// Channels lists the channels of an organisation in the order of their making.
func Channels(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Channel, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+channelColumns+` FROM notify_channel WHERE organisation_id = $1 AND removed_at = '' ORDER BY created_at, id`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list channels: %w", err)
	}
	defer rows.Close()
	var list []Channel
	for rows.Next() {
		c, err := scanChannel(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// Put lets an event wait on every channel that carries its kind, within the transaction of
// what happened: it is told if and only if that is stored. people are the addresses of
// those who gave one. It reports on how many ways it goes out.
func Put(ctx context.Context, tx *sqldb.Tx, e Event, people []string) (int, error) {
	all, err := Channels(ctx, tx, e.OrganisationID)
	if err != nil {
		return 0, err
	}
	ways := 0
	for _, c := range all {
		if !c.Enabled || !slices.Contains(c.Kinds, e.Kind) {
			continue
		}
		n, err := PutOn(ctx, tx, c, e, people)
		if err != nil {
			return 0, err
		}
		ways += n
	}
	return ways, nil
}

// PutOn is [Put] on one channel, whatever it carries.
func PutOn(ctx context.Context, tx *sqldb.Tx, c Channel, e Event, people []string) (int, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("encode event: %w", err)
	}
	key := e.Key
	if key == "" {
		key = id.New(id.Notice)
	}
	if len(key) > MaxKey {
		key = key[:MaxKey]
	}
	to := recipients(c, people)
	if e.Drill {
		to = inDrill(c, people)
	}
	for _, r := range to {
		_, err := tx.ExecContext(ctx, `INSERT INTO notify_delivery (id, organisation_id, channel_id, recipient, event_key, kind, event, state, tries, created_at, next_at, ended_at, detail)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, $9, $10, '', '') ON CONFLICT (channel_id, event_key, recipient) DO NOTHING`,
			id.New(id.Notice), e.OrganisationID, c.ID, r, key, string(e.Kind), string(body), string(Waiting), sqldb.FormatTime(e.At), sqldb.FormatTime(e.At))
		if err != nil {
			return 0, fmt.Errorf("let event wait: %w", err)
		}
	}
	return len(to), nil
}

// recipients are the addresses of a mail channel; another channel has one way, without.
func recipients(c Channel, people []string) []string {
	if c.Kind != Mail {
		return []string{""}
	}
	list := slices.Clone(c.Settings.To)
	if c.Settings.People {
		list = append(list, people...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// inDrill are those who hear of a drill: people of one's own, so that nobody outside takes it
// for real.
func inDrill(c Channel, people []string) []string {
	if c.Kind != Mail || !c.Settings.People {
		return nil
	}
	list := slices.Clone(people)
	slices.Sort(list)
	return slices.Compact(list)
}

const deliveryColumns = `id, organisation_id, channel_id, recipient, event, state, tries, created_at, next_at, ended_at, detail`

func deliveries(ctx context.Context, q sqldb.Queryer, where string, args ...any) ([]Delivery, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+deliveryColumns+` FROM notify_delivery `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	defer rows.Close()
	var list []Delivery
	for rows.Next() {
		var d Delivery
		var event string
		if err := rows.Scan(&d.ID, &d.OrganisationID, &d.ChannelID, &d.Recipient, &event, &d.State, &d.Tries,
			sqldb.ScanTime(&d.CreatedAt), sqldb.ScanTime(&d.NextAt), sqldb.ScanTime(&d.EndedAt), &d.Detail); err != nil {
			return nil, fmt.Errorf("read delivery: %w", err)
		}
		if err := json.Unmarshal([]byte(event), &d.Event); err != nil {
			return nil, fmt.Errorf("read delivery %s: %w", d.ID, err)
		}
		d.Event.OrganisationID = d.OrganisationID
		list = append(list, d)
	}
	return list, rows.Err()
}

// Newest lists the newest deliveries of an organisation, newest first.
func Newest(ctx context.Context, q sqldb.Queryer, organisationID string, limit int) ([]Delivery, error) {
	return deliveries(ctx, q, `WHERE organisation_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2`, organisationID, limit)
}

// dueChannels lists the channels, of all organisations, by which something should go out now.
func dueChannels(ctx context.Context, q sqldb.Queryer, now time.Time) ([]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT DISTINCT channel_id FROM notify_delivery WHERE state = $1 AND next_at <= $2 ORDER BY channel_id`, string(Waiting), sqldb.FormatTime(now))
	if err != nil {
		return nil, fmt.Errorf("list channels that are due: %w", err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, fmt.Errorf("list channels that are due: %w", err)
		}
		list = append(list, id)
	}
	return list, rows.Err()
}

// due lists what should go out now by one channel, the oldest first.
func due(ctx context.Context, q sqldb.Queryer, channelID string, now time.Time, limit int) ([]Delivery, error) {
	return deliveries(ctx, q, `WHERE state = $1 AND next_at <= $2 AND channel_id = $3 ORDER BY next_at, id LIMIT $4`, string(Waiting), sqldb.FormatTime(now), channelID, limit)
}

// putOff moves what is due by a channel to a later time without counting it as a try. A
// test is somebody's who waits for it, and is tried all the same.
func putOff(ctx context.Context, tx *sqldb.Tx, channelID string, now, until time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE notify_delivery SET next_at = $1 WHERE state = $2 AND channel_id = $3 AND next_at <= $4 AND kind <> $5`,
		sqldb.FormatTime(until), string(Waiting), channelID, sqldb.FormatTime(now), string(Test))
	if err != nil {
		return fmt.Errorf("put deliveries off: %w", err)
	}
	return nil
}

// settle stores what became of a try.
func settle(ctx context.Context, tx *sqldb.Tx, d Delivery) error {
	_, err := tx.ExecContext(ctx, `UPDATE notify_delivery SET state = $1, tries = $2, next_at = $3, ended_at = $4, detail = $5 WHERE id = $6`,
		string(d.State), d.Tries, sqldb.FormatTime(d.NextAt), sqldb.FormatTime(d.EndedAt), sqldb.CleanText(d.Detail), d.ID)
	if err != nil {
		return fmt.Errorf("store delivery: %w", err)
	}
	return nil
}

// keepDeliveries is how long is known what was sent.
const keepDeliveries = 90 * 24 * time.Hour

// forget drops what was ended long ago.
func forget(ctx context.Context, tx *sqldb.Tx, now time.Time) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM notify_delivery WHERE state <> $1 AND ended_at < $2`, string(Waiting), sqldb.FormatTime(now.Add(-keepDeliveries)))
	if err != nil {
		return fmt.Errorf("drop old deliveries: %w", err)
	}
	return nil
}
