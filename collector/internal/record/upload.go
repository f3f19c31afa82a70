package record

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the upload.
const (
	ActBegin  = "record.upload_begin" // somebody began to send a file in pieces
	ActUpload = "record.upload"       // a file was received whole
	ActForget = "record.upload_drop"  // a file that nobody went on with was given up
)

// MaxFileName is how many bytes the name of a file may have: 255 characters, which Windows
// allows, are three times as many bytes in Japanese.
const MaxFileName = 1024

// Source is where a file comes from that no agent acquired.
type Source string

// The sources.
const (
	Router    Source = "router"
	UTM       Source = "utm" // also firewalls
	VPN       Source = "vpn"
	NAS       Source = "nas"
	ServerLog Source = "server_log"
	CloudLog  Source = "cloud_log"
	Photo     Source = "photo"
	DiskImage Source = "disk_image"
	Paper     Source = "paper" // a scan of it
	Otherwise Source = "other"
)

// Stick is what comes of a USB kit. It is read and not kept as it is, so that nobody chooses
// it: it is none of [Sources].
const Stick Source = "usb_kit"

// Sources returns all sources.
func Sources() []Source {
	return []Source{Router, UTM, VPN, NAS, ServerLog, CloudLog, Photo, DiskImage, Paper, Otherwise}
}

// Valid reports whether s is one of the sources.
func (s Source) Valid() bool { return slices.Contains(Sources(), s) }

// ShortLived reports whether logs of it are often kept in memory only, or for days.
func (s Source) ShortLived() bool {
	return slices.Contains([]Source{Router, UTM, VPN, NAS, CloudLog}, s)
}

// File is what a person says of a file.
type File struct {
	Source Source `json:"source"`
	// Name is what it was called where it came from. It is a text like any other: nothing is
	// stored under it.
	Name        string    `json:"name,omitempty"`
	Device      string    `json:"device,omitempty"` // what it comes from: name, model, place
	Description string    `json:"description,omitempty"`
	Person      string    `json:"person"`            // who got it
	TakenAt     time.Time `json:"taken_at,omitzero"` // when
	// ClockKnown means that somebody compared the clock of where it comes from; ClockOffset is
	// that clock minus the true time then.
	ClockKnown  bool          `json:"clock_known,omitempty"`
	ClockOffset time.Duration `json:"clock_offset_ns,omitempty"`
	ClockNote   string        `json:"clock_note,omitempty"` // with what it was compared, its time zone
	// Link is by which link it came, from somebody without an account.
	Link string `json:"link,omitempty"`
}

// Encode writes what a person says of a file.
func (f File) Encode() string {
	b, err := json.Marshal(f)
	if err != nil {
		panic(fmt.Sprintf("record: %v", err)) // nothing in a File can fail
	}
	return string(b)
}

// Upload is a file that was received, or that is being received in pieces.
type Upload struct {
	File
	ID             string // "upl_…"
	OrganisationID string
	IncidentID     string
	Announced      int64 // bytes that were announced; negative: not said
	BegunID        string
	BegunBy        string
	BegunAt        time.Time
	// What follows is empty until it is received; Size and SHA256 until all bytes are there.
	ExhibitID  string
	Exhibit    string // number
	Size       int64
	SHA256     string
	ReceivedAt time.Time
	LedgerIdx  int64
	DisposedAt time.Time // its bytes were disposed of, or are about to be
	RemovedAt  time.Time // they are gone
}

// Details are what the ledger's entry of a received file says.
func (u Upload) Details() map[string]string {
	return map[string]string{"incident_id": u.IncidentID, "exhibit": u.Exhibit, "exhibit_id": u.ExhibitID, "sha256": u.SHA256, "size": strconv.FormatInt(u.Size, 10), "file": u.Encode()}
}

const uploadColumns = `id, organisation_id, incident_id, file, announced, begun_id, begun_by, begun_at, exhibit_id, exhibit, size, sha256, received_at, ledger_idx, disposed_at, removed_at`

// InsertUpload stores a file that is being received.
func InsertUpload(ctx context.Context, tx *sqldb.Tx, u Upload) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO record_upload (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '', '', 0, '', '', 0, '', '')`,
		u.ID, u.OrganisationID, u.IncidentID, u.Encode(), u.Announced, u.BegunID, u.BegunBy, sqldb.FormatTime(u.BegunAt)); err != nil {
		return fmt.Errorf("begin upload: %w", err)
	}
	return nil
}

// StageUpload notes which bytes of the store are about to be a file that is not received yet.
func StageUpload(ctx context.Context, tx *sqldb.Tx, id, sha256 string, size int64) error {
	if _, err := tx.ExecContext(ctx, `UPDATE record_upload SET sha256 = $1, size = $2 WHERE id = $3 AND received_at = ''`, sha256, size, id); err != nil {
		return fmt.Errorf("stage upload: %w", err)
	}
	return nil
}

// EndUpload notes that a file was received, and to which incident it belongs by then.
func EndUpload(ctx context.Context, tx *sqldb.Tx, u Upload) error {
	if _, err := tx.ExecContext(ctx, `UPDATE record_upload SET exhibit_id = $1, exhibit = $2, size = $3, sha256 = $4, received_at = $5, ledger_idx = $6, incident_id = $7 WHERE id = $8 AND received_at = ''`,
		u.ExhibitID, u.Exhibit, u.Size, u.SHA256, sqldb.FormatTime(u.ReceivedAt), u.LedgerIdx, u.IncidentID, u.ID); err != nil {
		return fmt.Errorf("end upload: %w", err)
	}
	return nil
}

// ForgetUpload removes a file that was never received whole.
func ForgetUpload(ctx context.Context, tx *sqldb.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM record_upload WHERE id = $1 AND received_at = ''`, id); err != nil {
		return fmt.Errorf("forget upload: %w", err)
	}
	return nil
}

// DisposeUpload notes that the bytes of a received file go.
func DisposeUpload(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE record_upload SET disposed_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id); err != nil {
		return fmt.Errorf("note disposal: %w", err)
	}
	return nil
}

// RemovedUpload notes that they are gone.
func RemovedUpload(ctx context.Context, tx *sqldb.Tx, id string, at time.Time) error {
	if _, err := tx.ExecContext(ctx, `UPDATE record_upload SET removed_at = $1 WHERE id = $2`, sqldb.FormatTime(at), id); err != nil {
		return fmt.Errorf("note end of disposal: %w", err)
	}
	return nil
}

// Uploads returns the files of an incident, received or not, in the order in which they were
// begun.
func Uploads(ctx context.Context, q sqldb.Queryer, incidentID string) ([]Upload, error) {
	return queryUploads(ctx, q, `incident_id = $1 ORDER BY begun_at, id`, incidentID)
}

// FindUpload finds a file, or fails with [ErrNotFound].
func FindUpload(ctx context.Context, q sqldb.Queryer, organisationID, id string) (Upload, error) {
	list, err := queryUploads(ctx, q, `organisation_id = $1 AND id = $2`, organisationID, id)
	if err == nil && len(list) != 1 {
		err = ErrNotFound
	}
	if err != nil {
		return Upload{}, err
	}
	return list[0], nil
}

// KeptUploads returns the received files of all organisations whose bytes are kept, and of
// which the disposal is not finished.
func KeptUploads(ctx context.Context, q sqldb.Queryer) ([]Upload, error) {
	return queryUploads(ctx, q, `received_at <> '' AND removed_at = '' ORDER BY id`)
}

// BeginningUploads returns those that are not received.
func BeginningUploads(ctx context.Context, q sqldb.Queryer) ([]Upload, error) {
	return queryUploads(ctx, q, `received_at = '' ORDER BY id`)
}

// SameUploads returns the received files with these bytes of which the disposal is not finished.
func SameUploads(ctx context.Context, q sqldb.Queryer, sha256 string) ([]Upload, error) {
	return queryUploads(ctx, q, `sha256 = $1 AND received_at <> '' AND removed_at = '' ORDER BY id`, sha256)
}

func queryUploads(ctx context.Context, q sqldb.Queryer, cond string, args ...any) ([]Upload, error) {
	rows, err := q.QueryContext(ctx, `SELECT `+uploadColumns+` FROM record_upload WHERE `+cond, args...)
	if err != nil {
		return nil, fmt.Errorf("read uploads: %w", err)
	}
	defer rows.Close()
	var list []Upload
	for rows.Next() {
		var u Upload
		var file string
		if err := rows.Scan(&u.ID, &u.OrganisationID, &u.IncidentID, &file, &u.Announced, &u.BegunID, &u.BegunBy, sqldb.ScanTime(&u.BegunAt), &u.ExhibitID, &u.Exhibit, &u.Size, &u.SHA256,
			sqldb.ScanTime(&u.ReceivedAt), &u.LedgerIdx, sqldb.ScanTime(&u.DisposedAt), sqldb.ScanTime(&u.RemovedAt)); err != nil {
			return nil, fmt.Errorf("read uploads: %w", err)
		}
		if err := json.Unmarshal([]byte(file), &u.File); err != nil {
			return nil, fmt.Errorf("read upload %s: %w", u.ID, err)
		}
		list = append(list, u)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read uploads: %w", err)
	}
	return list, nil
}
