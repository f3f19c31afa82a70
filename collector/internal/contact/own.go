package contact

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"hozen/collector/internal/sqldb"
)

// Kind is what somebody is to the organisation.
type Kind string

// The kinds of own contacts.
const (
	Vendor      Kind = "vendor" // who looks after the systems
	Forensics   Kind = "forensics"
	Insurer     Kind = "insurer"
	Police      Kind = "police" // the station in charge
	Client      Kind = "client" // whose data we process (委託元)
	Partner     Kind = "partner"
	Lawyer      Kind = "lawyer"
	Ministry    Kind = "ministry"
	Maker       Kind = "maker"
	Inside      Kind = "inside" // people of the organisation, by private telephone
	OtherPerson Kind = "other"
)

// Kinds returns all kinds in the order in which they are shown.
func Kinds() []Kind {
	return []Kind{Inside, Vendor, Forensics, Insurer, Police, Client, Partner, Lawyer, Ministry, Maker, OtherPerson}
}

// Valid reports whether k is one of the kinds.
func (k Kind) Valid() bool { return slices.Contains(Kinds(), k) }

// HasHours reports whether a contract with somebody of this kind says within how many
// hours they have to be told.
func (k Kind) HasHours() bool { return k == Insurer || k == Client || k == Partner }

// Limits of what people write, in bytes.
const (
	MaxName = 256
	MaxText = 2048
	MaxOwn  = 500 // contacts of an organisation
)

// ErrNotFound means that there is no such contact.
var ErrNotFound = errors.New("no such contact")

// Own is a contact of an organisation as one version says.
type Own struct {
	ID             string
	OrganisationID string
	Version        int64 // counts from 1
	Kind           Kind
	Name           string
	Person         string
	Tel            string
	Mail           string
	URL            string
	Hours          string // as written
	Reference      string // number of the contract or the policy
	WithinHours    int    // in which they have to be told; 0: not known
	Note           string
	Removed        bool
	At             time.Time // when somebody last looked through it
	ActorName      string
	LedgerIdx      int64
}

const ownColumns = `contact_id, version, organisation_id, kind, name, person, tel, mail, url, hours, reference, within_hours, note, removed, at, actor_name, ledger_idx`

// Add stores a version.
func Add(ctx context.Context, tx *sqldb.Tx, o Own) error {
	clean := sqldb.CleanText
	_, err := tx.ExecContext(ctx, `INSERT INTO contact_version (`+ownColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)`,
		o.ID, o.Version, o.OrganisationID, string(o.Kind), clean(o.Name), clean(o.Person), clean(o.Tel), clean(o.Mail), clean(o.URL), clean(o.Hours), clean(o.Reference),
		int64(o.WithinHours), clean(o.Note), sqldb.FormatBool(o.Removed), sqldb.FormatTime(o.At), clean(o.ActorName), o.LedgerIdx)
	if err != nil {
		return fmt.Errorf("store contact: %w", err)
	}
	return nil
}

const newest = `SELECT ` + ownColumns + ` FROM contact_version v WHERE version = (SELECT MAX(version) FROM contact_version w WHERE w.contact_id = v.contact_id) AND organisation_id = $1`

// List returns the contacts of an organisation as they are now, without those that were
// removed, by kind and name.
func List(ctx context.Context, q sqldb.Queryer, organisationID string) ([]Own, error) {
	all, err := query(ctx, q, newest, organisationID)
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(o Own) bool { return o.Removed })
	kinds := Kinds()
	slices.SortFunc(all, func(a, b Own) int {
		if d := slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind); d != 0 {
			return d
		}
		switch {
		case a.Name < b.Name:
			return -1
		case a.Name > b.Name:
			return 1
		}
		return 0
	})
	return all, nil
}

// Find finds a contact as it is now; one that was removed is [ErrNotFound].
func Find(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Own, error) {
	all, err := query(ctx, q, newest+` AND contact_id = $2`, organisationID, id)
	if err != nil {
		return Own{}, err
	}
	if len(all) != 1 || all[0].Removed {
		return Own{}, ErrNotFound
	}
	return all[0], nil
}

// Versions returns all versions of a contact, older first.
func Versions(ctx context.Context, q sqldb.Queryer, organisationID, id string) ([]Own, error) {
	return query(ctx, q, `SELECT `+ownColumns+` FROM contact_version WHERE organisation_id = $1 AND contact_id = $2 ORDER BY version`, organisationID, id)
}

func query(ctx context.Context, q sqldb.Queryer, text string, args ...any) ([]Own, error) {
	rows, err := q.QueryContext(ctx, text, args...)
	if err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	defer rows.Close()
	var list []Own
	for rows.Next() {
		o, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("read contacts: %w", err)
		}
		list = append(list, o)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read contacts: %w", err)
	}
	return list, nil
}

func scan(rows *sql.Rows) (o Own, err error) {
	err = rows.Scan(&o.ID, &o.Version, &o.OrganisationID, &o.Kind, &o.Name, &o.Person, &o.Tel, &o.Mail, &o.URL, &o.Hours, &o.Reference,
		&o.WithinHours, &o.Note, sqldb.ScanBool(&o.Removed), sqldb.ScanTime(&o.At), &o.ActorName, &o.LedgerIdx)
	return o, err
}

// ShortestHours returns, by kind, the fewest hours within which somebody has to be told.
func ShortestHours(all []Own) map[string]int {
	hours := map[string]int{}
	for _, o := range all {
		if n := hours[string(o.Kind)]; o.WithinHours > 0 && (n == 0 || o.WithinHours < n) {
			hours[string(o.Kind)] = o.WithinHours
		}
	}
	return hours
}

// MailForm reports whether s can be an address to which mail is sent.
func MailForm(s string) bool { return mailForm(s) }
