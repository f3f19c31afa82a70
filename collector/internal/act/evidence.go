package act

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// Acquisitions lists the acquisitions of an incident, newest first.
func (s *Acts) Acquisitions(ctx context.Context, a Actor, incidentID string) ([]evidence.Acquisition, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]evidence.Acquisition, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return s.evidence.Acquisitions(ctx, evidence.AcquisitionFilter{OrganisationID: a.OrganisationID, IncidentID: inc.ID})
	})
}

// EndpointAcquisitions lists the acquisitions of an endpoint, newest first.
func (s *Acts) EndpointAcquisitions(ctx context.Context, a Actor, endpointID string) ([]evidence.Acquisition, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]evidence.Acquisition, error) {
		e, err := endpoint.ByID(ctx, q, endpointID)
		if err == nil {
			err = a.own(e.OrganisationID)
		}
		if err != nil {
			return nil, err
		}
		return s.evidence.Acquisitions(ctx, evidence.AcquisitionFilter{OrganisationID: a.OrganisationID, EndpointID: e.ID})
	})
}

// Evidence lists the evidence of an incident in the order of its numbers.
func (s *Acts) Evidence(ctx context.Context, a Actor, incidentID string) ([]evidence.Item, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]evidence.Item, error) {
		inc, err := incident.Find(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return nil, err
		}
		return s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: a.OrganisationID, IncidentID: inc.ID})
	})
}

// AcquisitionItems lists the evidence of one acquisition in the order of its manifest.
func (s *Acts) AcquisitionItems(ctx context.Context, a Actor, acquisitionID string) ([]evidence.Item, error) {
	return read(ctx, s, a, mayLook, func(_ sqldb.Queryer, a Actor) ([]evidence.Item, error) {
		if _, err := s.evidence.Acquisition(ctx, a.OrganisationID, acquisitionID); err != nil {
			return nil, err
		}
		return s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: a.OrganisationID, AcquisitionID: acquisitionID})
	})
}

// EvidenceItem finds one piece of evidence by its identifier or its number.
func (s *Acts) EvidenceItem(ctx context.Context, a Actor, idOrNumber string) (evidence.Item, error) {
	return read(ctx, s, a, mayLook, func(_ sqldb.Queryer, a Actor) (evidence.Item, error) {
		return s.evidence.Item(ctx, a.OrganisationID, idOrNumber)
	})
}

// OpenEvidence opens the stored bytes of a piece of evidence. Who opened it and why
// is in the ledger before the first byte is read. The caller closes it.
func (s *Acts) OpenEvidence(ctx context.Context, a Actor, evidenceID string, p Purpose) (evidence.Item, io.ReadCloser, error) {
	if p != ToView && p != ToDownload {
		return evidence.Item{}, nil, &Invalid{Field: "purpose", Code: "unknown", Err: fmt.Errorf("there is no purpose %.40q", p)}
	}
	a, err := s.identify(ctx, s.db.Read(), a, mayOpenEvidence)
	if err != nil {
		return evidence.Item{}, nil, err
	}
	it, err := s.evidence.Item(ctx, a.OrganisationID, evidenceID)
	if err != nil {
		return evidence.Item{}, nil, known(err)
	}
	if err := a.within(it.IncidentID); err != nil {
		return evidence.Item{}, nil, err
	}
	if !it.DisposedAt.IsZero() {
		return evidence.Item{}, nil, ErrDisposed
	}
	err = s.write(ctx, a, mayOpenEvidence, func(ctx context.Context, d *deed) error {
		if err := d.reach(it.IncidentID); err != nil {
			return err
		}
		_, err := d.record(ctx, "evidence."+string(p), it.ID, map[string]string{"number": it.Number, "name": it.Name,
			"acquisition": it.AcquisitionID, "stored_sha256": it.StoredSHA256})
		if err != nil {
			return err
		}
		return s.looked(ctx, d, it, p)
	})
	if err != nil {
		return evidence.Item{}, nil, err
	}
	r, err := s.evidence.Open(ctx, it)
	if err != nil {
		return evidence.Item{}, nil, err
	}
	return it, r, nil
}

// ManifestOf returns the manifest of an acquisition and its signature, exactly as the
// endpoint sent them.
func (s *Acts) ManifestOf(ctx context.Context, a Actor, acquisitionID string) (manifest, sig []byte, err error) {
	sealed, err := s.Sealed(ctx, a, acquisitionID)
	return sealed.Manifest, sealed.Signature, err
}

// Sealed is [Acts.ManifestOf] with the signer's certificate and our receipt.
func (s *Acts) Sealed(ctx context.Context, a Actor, acquisitionID string) (evidence.Sealed, error) {
	return read(ctx, s, a, mayLook, func(_ sqldb.Queryer, a Actor) (evidence.Sealed, error) {
		if a.only != nil {
			acq, err := s.evidence.Acquisition(ctx, a.OrganisationID, acquisitionID)
			if err == nil {
				err = a.within(acq.IncidentID)
			}
			if err != nil {
				return evidence.Sealed{}, err
			}
		}
		return s.evidence.Sealed(ctx, a.OrganisationID, acquisitionID)
	})
}

// LedgerEntries lists what was done, newest first.
func (s *Acts) LedgerEntries(ctx context.Context, a Actor, f LedgerFilter) ([]ledger.Recorded, error) {
	return read(ctx, s, a, mayReadLedger, func(q sqldb.Queryer, a Actor) ([]ledger.Recorded, error) {
		return ledger.Entries(ctx, q, ledger.Filter{OrganisationID: a.OrganisationID, Subject: f.Subject, Before: f.Before, Limit: limit(f.Limit)})
	})
}

// SignerKey returns the key of a certificate that was issued to the endpoint, now or
// earlier, or a one-time key of evidence that was imported for it, for [evidence.Verifier].
func (s *Acts) SignerKey(ctx context.Context, endpointID string, certificate []byte) (*ecdsa.PublicKey, error) {
	cert, err := x509.ParseCertificate(certificate)
	if err != nil {
		return kitKey(ctx, s.db.Read(), endpointID, certificate)
	}
	c, err := enroll.CertificateBySerial(ctx, s.db.Read(), pki.Serial(cert))
	if errors.Is(err, enroll.ErrNotFound) || err == nil && (c.EndpointID != endpointID || !bytes.Equal(c.DER, certificate)) {
		return nil, evidence.ErrNotIssued
	}
	if err != nil {
		return nil, err
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	if !ok {
		return nil, evidence.ErrNotIssued
	}
	return key, nil
}

// Tie says where an acquisition belongs: to the incident of its command, else of its
// alert, else to the newest open one of its endpoint. It is for [evidence.Config].
func (s *Acts) Tie(ctx context.Context, tx *sqldb.Tx, endpointID string, m *artifact.Manifest) (evidence.Tied, error) {
	d := &deed{tx: tx, now: s.now()}
	e, err := d.agent(ctx, endpointID)
	if err != nil {
		return evidence.Tied{}, err
	}
	inc, err := s.tie(ctx, d, e, m)
	if errors.Is(err, incident.ErrNotFound) {
		return evidence.Tied{OrganisationID: e.OrganisationID}, nil
	}
	if err != nil {
		return evidence.Tied{}, err
	}
	no, err := nextExhibit(ctx, tx, inc)
	return evidence.Tied{OrganisationID: e.OrganisationID, IncidentID: inc.ID, IncidentNumber: inc.Number, ExhibitNo: no}, err
}

func (s *Acts) tie(ctx context.Context, d *deed, e endpoint.Endpoint, m *artifact.Manifest) (incident.Incident, error) {
	inc, err := s.tieAsSaid(ctx, d, e, m)
	if err != nil {
		return inc, err
	}
	return incident.GoesOn(ctx, d.tx, inc) // what comes after a merge belongs where people look
}

func (s *Acts) tieAsSaid(ctx context.Context, d *deed, e endpoint.Endpoint, m *artifact.Manifest) (incident.Incident, error) {
	if m.Signer.OneTime {
		if inc, named, err := s.tieImport(ctx, d, m.AcquisitionID); named || err != nil {
			return inc, err
		}
	}
	if m.CommandID != "" {
		c, err := dispatch.ByID(ctx, d.tx, m.CommandID)
		switch {
		case err == nil && c.EndpointID == e.ID && c.IncidentID != "":
			return whereNow(ctx, d.tx, e.OrganisationID, c.IncidentID, e.ID)
		case err != nil && !errors.Is(err, dispatch.ErrNotFound):
			return incident.Incident{}, err
		}
	}
	if m.AlertID != "" && id.Check(id.Alert, m.AlertID) == nil {
		al, err := incident.AlertByID(ctx, d.tx, m.AlertID)
		switch {
		case err == nil && al.EndpointID == e.ID:
			return whereNow(ctx, d.tx, e.OrganisationID, al.IncidentID, e.ID)
		case err == nil: // somebody else's; it says nothing
		case !errors.Is(err, incident.ErrNoAlert):
			return incident.Incident{}, err
		default:
			// The evidence has overtaken the alert: keep its place.
			return s.expectAlert(ctx, d, e, m)
		}
	}
	return incident.NewestOpenBare(ctx, d.tx, e.ID, zeroTime)
}

// whereNow is where something of an endpoint belongs now that was said to belong to an incident:
// that may have been merged since, or the endpoint split off, see [incident.Where].
func whereNow(ctx context.Context, q sqldb.Queryer, organisationID, incidentID, endpointID string) (incident.Incident, error) {
	inc, err := incident.FindBare(ctx, q, organisationID, incidentID)
	if err != nil {
		return inc, err
	}
	return incident.Where(ctx, q, inc, endpointID)
}

// expectAlert opens or joins the incident of an alert that has not arrived yet.
func (s *Acts) expectAlert(ctx context.Context, d *deed, e endpoint.Endpoint, m *artifact.Manifest) (incident.Incident, error) {
	inc, err := s.alertIncident(ctx, d, e, AlertCall{AlertID: m.AlertID, ReportedAt: sane(m.StartedAt.Wall)})
	if err != nil {
		return incident.Incident{}, err
	}
	if err := incident.InsertAlert(ctx, d.tx, incident.Alert{ID: m.AlertID, OrganisationID: e.OrganisationID, EndpointID: e.ID, IncidentID: inc.ID}); err != nil {
		return inc, err
	}
	_, err = d.record(ctx, incident.ActExpect, m.AlertID, map[string]string{"endpoint": e.ID, "incident": inc.ID})
	return inc, err
}

// OnAccepted puts accepted evidence into the timeline of its incident. It is for
// [evidence.Config].
func (s *Acts) OnAccepted(ctx context.Context, tx *sqldb.Tx, a evidence.Acquisition, items []evidence.Item) error {
	d := &deed{tx: tx, now: a.ReceivedAt}
	e, err := endpoint.ByID(ctx, tx, a.EndpointID)
	if err != nil {
		return err
	}
	d.actor = Actor{Kind: ByEndpoint, ID: e.ID, Name: display(e), OrganisationID: e.OrganisationID}
	if a.IncidentID == "" {
		return s.booted(ctx, d, a, items, nil)
	}
	inc, err := incident.FindBare(ctx, tx, a.OrganisationID, a.IncidentID)
	if err != nil {
		return err
	}
	if err := s.join(ctx, d, inc, e); err != nil {
		return err
	}
	facts := map[string]string{"endpoint": e.ID, "acquisition": a.ID, "outcome": string(a.Outcome), "items": strconv.Itoa(len(items)),
		"records": strconv.FormatInt(a.Records, 10), "command_id": a.CommandID, "alert": a.AlertID, "trigger": string(a.Trigger)}
	if len(items) > 0 {
		facts["first"], facts["last"] = items[0].Number, items[len(items)-1].Number
	}
	s.wentDown(ctx, items, facts)
	if err := s.exhibitOf(ctx, d, a, inc, e); err != nil {
		return err
	}
	if err := importedBy(ctx, tx, a.ID, facts); err != nil {
		return err
	}
	if err := s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryEvidence, AgentAt: sane(a.FinishedAt), Params: facts, LedgerIdx: a.LedgerIdx}); err != nil {
		return err
	}
	return s.booted(ctx, d, a, items, &inc)
}

// OnRefused records that evidence was refused, in the ledger and in the timeline of
// the endpoint's open incident. It is for [evidence.Config].
func (s *Acts) OnRefused(ctx context.Context, tx *sqldb.Tx, r evidence.Refused) error {
	d := &deed{tx: tx, now: r.At}
	e, err := endpoint.ByID(ctx, tx, r.EndpointID)
	if err != nil {
		return err
	}
	d.actor = Actor{Kind: ByEndpoint, ID: e.ID, Name: display(e), OrganisationID: e.OrganisationID}
	facts := map[string]string{"endpoint": e.ID, "acquisition": r.AcquisitionID, "code": string(r.Refusal.Code), "part": r.Refusal.Part, "detail": r.Refusal.Detail}
	if r.Suppressed > 0 {
		facts["suppressed"] = strconv.Itoa(r.Suppressed)
	}
	idx, err := d.record(ctx, "evidence.refuse", r.AcquisitionID, facts)
	if err != nil {
		return err
	}
	inc, err := incident.NewestOpenBare(ctx, tx, e.ID, zeroTime)
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntryRefused, Params: facts, LedgerIdx: idx})
}

// EvidenceChanged tells the pages, after the transaction, that an upload of an
// endpoint was accepted or refused. The endpoint's stream is woken: its evidence may have
// made it part of an incident.
func (s *Acts) EvidenceChanged(ctx context.Context, endpointID, acquisitionID string) {
	e, err := endpoint.ByID(ctx, s.db.Read(), endpointID)
	if err != nil {
		return // the pages are late, nothing is lost
	}
	s.hub.wake(endpointID)
	news := Event{Kind: EventEvidence, EndpointID: endpointID}
	if a, err := s.evidence.Acquisition(ctx, e.OrganisationID, acquisitionID); err == nil {
		news.IncidentID = a.IncidentID
	}
	s.hub.publish(e.OrganisationID, news)
}

// CACertificate returns the certificate (DER) that all certificates here come from.
func (s *Acts) CACertificate() []byte { return s.ca.Certificate().Raw }
