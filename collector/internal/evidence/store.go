package evidence

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/custody/issue"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// The acts that this package records in the ledger.
const (
	ActNumbered = "evidence.number" // an item got its number; subject is the item
	ActAccepted = "evidence.accept" // an acquisition was accepted; subject is the acquisition
)

// known is what must be known of an accepted acquisition to answer its endpoint.
type known struct {
	endpointID     string
	manifestSHA256 string
	receipt        Receipt
}

// accepted returns the acquisition, or nil when it was never accepted.
func accepted(ctx context.Context, q sqldb.Queryer, acquisitionID string) (*known, error) {
	var k known
	err := q.QueryRowContext(ctx, `SELECT endpoint_id, manifest_sha256, receipt_payload, receipt_signature, receipt_certificate
		FROM evidence_acquisitions WHERE id = $1`, acquisitionID).
		Scan(&k.endpointID, &k.manifestSHA256, (*textBytes)(&k.receipt.Payload), (*base64Bytes)(&k.receipt.Signature), (*base64Bytes)(&k.receipt.Certificate))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look up acquisition: %w", err)
	}
	return &k, nil
}

func (s *session) putManifest(ctx context.Context, in *sealed) error {
	return s.i.cfg.Blobs.Put(ctx, digest.Of(in.Manifest), int64(len(in.Manifest)), bytes.NewReader(in.Manifest))
}

// store writes the acquisition, its items, their ledger entries and the receipt in
// one transaction.
func (i *Intake) store(ctx context.Context, s *session, in *sealed) (Receipt, error) {
	var receipt Receipt
	now := i.cfg.Now()
	err := i.cfg.DB.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		if k, err := accepted(ctx, tx, s.acquisitionID); err != nil || k != nil {
			// Another endpoint was faster with this identifier.
			return errors.Join(err, refuse(ForeignEndpoint, "", "the identifier belongs to another endpoint's acquisition"))
		}
		// While this transaction is open nothing is removed from the store. Until it began, the
		// last exhibit that had the same bytes may have been disposed of.
		for n, d := range in.entries {
			if _, err := i.cfg.Blobs.Stat(ctx, d); errors.Is(err, blob.ErrNotFound) {
				return refuse(ArtifactMissing, in.m.Artifacts[n].Name, "it was disposed of while it was taken in; send it again")
			} else if err != nil {
				return fmt.Errorf("look for stored evidence: %w", err)
			}
		}
		tied, err := i.cfg.Tie(ctx, tx, s.endpointID, &in.m)
		if err != nil {
			return fmt.Errorf("tie acquisition to an incident: %w", err)
		}
		a := acquisitionOf(in, tied)
		a.EndpointID = s.endpointID // a manifest that a one-time key signed names none
		a.ReceivedAt = now
		items, err := number(ctx, tx, a, tied, in)
		if err != nil {
			return err
		}
		if a.LedgerIdx, err = ledger.Append(ctx, tx, ledger.Entry{
			OrganisationID: a.OrganisationID, At: now, ActorKind: "endpoint", ActorID: a.EndpointID, ActorName: in.m.Host.Hostname,
			Act: ActAccepted, Subject: a.ID, Details: map[string]string{
				"incident_id": a.IncidentID, "incident_number": tied.IncidentNumber, "manifest_sha256": a.ManifestSHA256,
				"items": strconv.Itoa(a.Items), "stored_bytes": strconv.FormatInt(a.StoredBytes, 10), "outcome": string(a.Outcome),
			},
		}); err != nil {
			return err
		}
		for _, it := range items {
			if err := insertItem(ctx, tx, it); err != nil {
				return err
			}
		}
		if i.cfg.OnAccepted != nil {
			if err := i.cfg.OnAccepted(ctx, tx, a, slices.Clone(itemsOf(items))); err != nil {
				return fmt.Errorf("record acquisition: %w", err)
			}
		}
		placed, err := ledger.Prove(ctx, tx, a.OrganisationID, a.LedgerIdx) // with what OnAccepted attached to it
		if err != nil {
			return err
		}
		signed, err := issue.Receipt(receiptOf(a, items, tied, placed, i.cfg.CollectorName, i.cfg.CASHA256), i.cfg.Signer, i.cfg.Certificate)
		if err != nil {
			return err
		}
		receipt = Receipt{Payload: signed.Payload, Signature: signed.Signature, Certificate: signed.Certificate}
		return insertAcquisition(ctx, tx, a, in, receipt)
	})
	if err != nil {
		return Receipt{}, err
	}
	return receipt, nil
}

func acquisitionOf(in *sealed, tied Tied) Acquisition {
	m := &in.m
	a := Acquisition{
		ID: m.AcquisitionID, OrganisationID: tied.OrganisationID, EndpointID: m.EndpointID, IncidentID: tied.IncidentID,
		CommandID: m.CommandID, AlertID: m.AlertID, Trigger: m.Trigger, Profile: m.Profile, Outcome: m.Outcome,
		StartedAt: m.StartedAt.Wall, FinishedAt: m.FinishedAt.Wall,
		ManifestSHA256: digest.Of(in.Manifest).String(), Items: len(m.Artifacts),
	}
	for _, e := range m.Artifacts {
		a.Records += e.Records
		a.StoredBytes += e.Stored.Size
	}
	return a
}

// numbered is an item with its place in the incident and in the manifest.
type numbered struct {
	Item
	no, position int64
}

func itemsOf(list []numbered) []Item {
	var out []Item
	for _, n := range list {
		out = append(out, n.Item)
	}
	return out
}

// FormatNumber writes an evidence number: INC-2026-0007-E03-07 for the seventh artifact of
// exhibit 3, or INC-2026-0007-E07 where there are no exhibits.
func FormatNumber(incidentNumber string, exhibitNo, no int64) string {
	if exhibitNo == 0 {
		return fmt.Sprintf("%s-E%02d", incidentNumber, no)
	}
	return fmt.Sprintf("%s-E%02d-%02d", incidentNumber, exhibitNo, no)
}

// LastPlainNo returns the highest number in an incident of evidence that was numbered on its
// own, before there were exhibits; no exhibit gets one of those.
func LastPlainNo(ctx context.Context, q sqldb.Queryer, organisationID, incidentID string) (no int64, err error) {
	if err := q.QueryRowContext(ctx, `SELECT COALESCE(MAX(item_no), 0) FROM evidence_items WHERE organisation_id = $1 AND incident_id = $2
		AND number NOT LIKE '%-E%-%'`, organisationID, incidentID).Scan(&no); err != nil {
		return 0, fmt.Errorf("number evidence: %w", err)
	}
	return no, nil
}

// number gives the artifacts their identifiers, numbers and ledger entries.
func number(ctx context.Context, tx *sqldb.Tx, a Acquisition, tied Tied, in *sealed) ([]numbered, error) {
	var last int64
	if a.IncidentID != "" {
		if err := tx.QueryRowContext(ctx, `SELECT COALESCE(MAX(item_no), 0) FROM evidence_items WHERE organisation_id = $1 AND incident_id = $2`,
			a.OrganisationID, a.IncidentID).Scan(&last); err != nil {
			return nil, fmt.Errorf("number evidence: %w", err)
		}
	}
	outcomes := map[artifact.Kind]artifact.Outcome{}
	for _, p := range in.m.Probes {
		outcomes[p.Kind] = p.Outcome
	}
	var out []numbered
	for pos, e := range in.m.Artifacts {
		it := numbered{position: int64(pos), Item: Item{
			ID: id.New(id.Evidence), OrganisationID: a.OrganisationID, AcquisitionID: a.ID, EndpointID: a.EndpointID, IncidentID: a.IncidentID,
			Name: e.Name, Kind: e.Kind, Schema: e.Schema, Outcome: outcomes[e.Kind], Records: e.Records,
			PlainSHA256: e.Plain.SHA256, PlainSize: e.Plain.Size, StoredSHA256: e.Stored.SHA256, StoredSize: e.Stored.Size, ReceivedAt: a.ReceivedAt,
		}}
		if a.IncidentID != "" {
			it.no = last + int64(pos) + 1
			within := it.no
			if tied.ExhibitNo > 0 {
				within = int64(pos) + 1
			}
			it.Number = FormatNumber(tied.IncidentNumber, tied.ExhibitNo, within)
		}
		var err error
		if it.LedgerIdx, err = ledger.Append(ctx, tx, ledger.Entry{
			OrganisationID: a.OrganisationID, At: a.ReceivedAt, ActorKind: "endpoint", ActorID: a.EndpointID, ActorName: in.m.Host.Hostname,
			Act: ActNumbered, Subject: it.ID, Details: map[string]string{
				"number": it.Number, "acquisition_id": a.ID, "name": it.Name, "stored_sha256": it.StoredSHA256, "plain_sha256": it.PlainSHA256,
			},
		}); err != nil {
			return nil, err
		}
		out = append(out, it)
	}
	return out, nil
}

func receiptOf(a Acquisition, items []numbered, tied Tied, placed ledger.Placed, collector, caSHA256 string) custody.Receipt {
	r := custody.Receipt{
		AcquisitionID: a.ID, EndpointID: a.EndpointID, IncidentNumber: tied.IncidentNumber, ManifestSHA256: a.ManifestSHA256, ReceivedAt: a.ReceivedAt,
		Ledger: custody.Ledger{
			Index: placed.Index, LeafSHA256: digest.Digest(placed.Leaf).String(),
			TreeSize: placed.Head.Size, RootSHA256: digest.Digest(placed.Head.Root).String(),
		},
		Collector: custody.Collector{Name: collector, CASHA256: caSHA256},
	}
	for _, it := range items {
		r.Evidence = append(r.Evidence, custody.Evidence{Number: it.Number, Name: it.Name, Kind: string(it.Kind), StoredSHA256: it.StoredSHA256})
	}
	return r
}

func insertItem(ctx context.Context, tx *sqldb.Tx, it numbered) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO evidence_items
		(id, organisation_id, acquisition_id, endpoint_id, incident_id, item_no, number, position, name, kind, schema_name,
		outcome, records, plain_sha256, plain_size, stored_sha256, stored_size, received_at, ledger_idx)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)`,
		it.ID, it.OrganisationID, it.AcquisitionID, it.EndpointID, it.IncidentID, it.no, it.Number, it.position, it.Name, string(it.Kind), it.Schema,
		string(it.Outcome), it.Records, it.PlainSHA256, it.PlainSize, it.StoredSHA256, it.StoredSize, sqldb.FormatTime(it.ReceivedAt), it.LedgerIdx)
	if err != nil {
		return fmt.Errorf("store evidence: %w", err)
	}
	return nil
}

func insertAcquisition(ctx context.Context, tx *sqldb.Tx, a Acquisition, in *sealed, r Receipt) error {
	b64 := base64.StdEncoding.EncodeToString
	_, err := tx.ExecContext(ctx, `INSERT INTO evidence_acquisitions
		(id, organisation_id, endpoint_id, incident_id, command_id, alert_id, trigger_kind, profile, outcome, started_at, finished_at, received_at,
		manifest_sha256, manifest_size, manifest_signature, signer_certificate, items, records, stored_bytes, ledger_idx,
		receipt_payload, receipt_signature, receipt_certificate)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23)`,
		a.ID, a.OrganisationID, a.EndpointID, a.IncidentID, a.CommandID, a.AlertID, string(a.Trigger), a.Profile, string(a.Outcome),
		sqldb.FormatTime(a.StartedAt), sqldb.FormatTime(a.FinishedAt), sqldb.FormatTime(a.ReceivedAt),
		a.ManifestSHA256, len(in.Manifest), b64(in.Signature), b64(in.Certificate), a.Items, a.Records, a.StoredBytes, a.LedgerIdx,
		string(r.Payload), b64(r.Signature), b64(r.Certificate))
	if err != nil {
		return fmt.Errorf("store acquisition: %w", err)
	}
	return nil
}

// base64Bytes scans a base64 column.
type base64Bytes []byte

func (b *base64Bytes) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("column is a %T, not text", v)
	}
	raw, err := base64.StdEncoding.DecodeString(s)
	*b = raw
	return err
}

// textBytes scans a text column into bytes.
type textBytes []byte

func (b *textBytes) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("column is a %T, not text", v)
	}
	*b = []byte(s)
	return nil
}
