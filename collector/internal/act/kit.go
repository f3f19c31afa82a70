package act

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/kit"
	"hozen/collector/internal/sqldb"
	"hozen/internal/digest"
	"hozen/internal/envelope"
	"hozen/internal/id"
	"hozen/internal/profile"
	"hozen/internal/usbkit"
)

// Intake takes evidence in; *evidence.Intake is one.
type Intake interface {
	Begin(ctx context.Context, endpointID, acquisitionID string) (*evidence.Upload, error)
}

// Kits is what making and reading USB kits needs beside the database.
type Kits struct {
	// Intake takes in what comes on sticks. Required.
	Intake Intake
	// Certificate returns the collector's certificate (DER) and its key, with which kits are
	// signed. Required.
	Certificate func() (der []byte, key crypto.Signer, err error)
	// Name is what the collector calls itself.
	Name string
	// Dir is a folder for what is being read, on the disk of the evidence. Required.
	Dir string
	// MinFree is how many bytes reading a stick leaves free there.
	MinFree int64
	// Recipients returns the public keys of an organisation (age) for which results are
	// sealed. Optional: without it they are not.
	Recipients func(ctx context.Context, organisationID string) ([]string, error)
	// Open opens what was sealed for an organisation. Optional.
	Open func(organisationID string, sealed io.Reader) (io.Reader, error)
}

// UseKits gives the acts what they need for USB kits; without it they are unsupported. It is
// called before anybody acts.
func (s *Acts) UseKits(k Kits) { s.kits = &k }

var errNoKits = fmt.Errorf("USB kits: %w", errors.ErrUnsupported)

// NewKit is what a kit is to be.
type NewKit struct {
	IncidentID string // or number; empty: for any
	Profile    string
	Language   string // ja or en
	Agents     []usbkit.File
}

// BuildKit makes a USB kit but for its programs, which whoever asks lays beside. That it was
// made is in the ledger.
func (s *Acts) BuildKit(ctx context.Context, a Actor, n NewKit) (kit.Made, error) {
	if err := a.person(); err != nil {
		return kit.Made{}, err
	}
	if s.kits == nil {
		return kit.Made{}, errNoKits
	}
	if _, err := profile.Find(n.Profile); err != nil {
		return kit.Made{}, &Invalid{Field: "profile", Code: "unknown", Err: err}
	}
	if n.Language != "ja" && n.Language != "en" {
		return kit.Made{}, &Invalid{Field: "lang", Code: "unknown", Err: fmt.Errorf("language %.20q: want ja or en", n.Language)}
	}
	der, key, err := s.kits.Certificate()
	if err != nil {
		return kit.Made{}, err
	}
	var made kit.Made
	err = s.write(ctx, a, mayAcquire, func(ctx context.Context, d *deed) error {
		k := usbkit.Kit{KitID: id.New(id.Kit), Collector: usbkit.Collector{Name: usbkit.Printable(s.kits.Name), CASHA256: s.ca.Fingerprint()},
			Profile: n.Profile, Language: n.Language, MadeAt: d.now.UTC().Round(0), MadeBy: usbkit.Printable(d.actor.Name)}
		own, err := organisationName(ctx, d.tx, d.actor.OrganisationID)
		if err != nil {
			return err
		}
		k.Organisation = usbkit.Organisation{ID: d.actor.OrganisationID, Name: usbkit.Printable(own)}
		if n.IncidentID != "" {
			inc, err := s.incidentOpen(ctx, d, n.IncidentID)
			if err != nil {
				return err
			}
			k.IncidentID, k.Incident = inc.ID, inc.Number
		}
		if s.kits.Recipients != nil {
			if k.Recipients, err = s.kits.Recipients(ctx, d.actor.OrganisationID); err != nil {
				return err
			}
		}
		if made, err = kit.Make(kit.Order{Kit: k, Agents: n.Agents, Signer: key, Certificate: der}); err != nil {
			return &Invalid{Field: "agents", Code: "malformed", Err: err}
		}
		if err := kit.InsertKit(ctx, d.tx, made.Kit, made.SHA256); err != nil {
			return err
		}
		// The sticks carry the public keys, the ledger only names them: it is kept for as long as
		// there is evidence, and lies in every backup beside it.
		var named []string
		for _, text := range k.Recipients {
			r, err := envelope.ParseRecipient(text)
			if err != nil {
				return err
			}
			named = append(named, r.Fingerprint().String())
		}
		with := map[string]string{"kit_sha256": made.SHA256, "profile": k.Profile, "incident": k.IncidentID, "incident_number": k.Incident,
			"recipients_sha256": strings.Join(named, " ")}
		for _, f := range n.Agents {
			with["sha256_"+f.Name] = f.SHA256
		}
		_, err = d.record(ctx, kit.ActBuild, k.KitID, with)
		return err
	})
	return made, err
}

// kitKey returns the one-time key (DER) of evidence that was imported for an endpoint, for
// [Acts.SignerKey].
func kitKey(ctx context.Context, q sqldb.Queryer, endpointID string, der []byte) (*ecdsa.PublicKey, error) {
	pub, err := x509.ParsePKIXPublicKey(der)
	key, ok := pub.(*ecdsa.PublicKey)
	if err != nil || !ok {
		return nil, evidence.ErrNotIssued
	}
	i, err := kit.ImportByKey(ctx, q, digest.Of(der).String())
	if errors.Is(err, kit.ErrNotFound) || err == nil && (i.EndpointID != endpointID || string(i.PublicKey) != string(der)) {
		return nil, evidence.ErrNotIssued
	}
	return key, err
}

// tieImport says where an acquisition belongs that came on a stick: to the incident that the
// import named, if it did.
func (s *Acts) tieImport(ctx context.Context, d *deed, acquisitionID string) (inc incident.Incident, named bool, err error) {
	i, err := kit.ImportOf(ctx, d.tx, acquisitionID)
	if errors.Is(err, kit.ErrNotFound) {
		return inc, false, nil
	}
	if err != nil || i.IncidentID == "" {
		return inc, false, err
	}
	inc, err = incident.FindBare(ctx, d.tx, i.OrganisationID, i.IncidentID)
	return inc, err == nil, err
}

// importedBy adds to the facts about evidence that it came on a stick, if it did.
func importedBy(ctx context.Context, q sqldb.Queryer, acquisitionID string, facts map[string]string) error {
	i, err := kit.ImportOf(ctx, q, acquisitionID)
	if errors.Is(err, kit.ErrNotFound) {
		return nil
	}
	if err == nil {
		facts["trigger"], facts["by"] = "kit", i.ImportedBy
	}
	return err
}

// stickOf returns what is known of the stick that an acquisition came on, and puts into the
// fields of its exhibit what the person said who acquired. It is empty where there was none.
func stickOf(ctx context.Context, q sqldb.Queryer, acquisitionID string, fields map[exhibit.Field]string) (kit.Import, error) {
	i, err := kit.ImportOf(ctx, q, acquisitionID)
	if errors.Is(err, kit.ErrNotFound) {
		return kit.Import{}, nil
	}
	for f, v := range map[exhibit.Field]string{exhibit.Location: i.Place, exhibit.Reason: i.Reason, exhibit.AcquiredBy: i.AcquiredBy, exhibit.Witness: i.Witness} {
		if v != "" {
			fields[f] = cutName(v)
		}
	}
	return i, err
}

// cutName cuts a text to what names have in exhibits.
func cutName(s string) string {
	if len(s) > exhibit.MaxName {
		s = strings.ToValidUTF8(s[:exhibit.MaxName], "")
	}
	return s
}

// importFacts are what the ledger says of an import. What the person stated is in the
// evidence; here stands what whoever reads the ledger needs to judge it.
func importFacts(i kit.Import, f kit.Found, match string) map[string]string {
	with := map[string]string{"kit": i.KitID, "endpoint": i.EndpointID, "endpoint_by": match, "incident": i.IncidentID,
		"manifest_sha256": digest.Of(f.Raw).String(), "key_sha256": i.KeySHA256, "code_compared": strconv.FormatBool(i.CodeCompared)}
	if i.CodeCompared { // else whoever compares it would find it here
		with["receipt_code"] = i.ReceiptCode
	}
	if i.Foreign {
		with["foreign_kit"] = "true"
	}
	if s := f.Statement; s != nil {
		with["place"], with["reason"], with["by"], with["witness"] = s.Place, s.Reason, s.By, s.Witness
		if s.Reference.Typed != "" {
			with["clock_offset_ms"] = strconv.FormatInt(s.Reference.Offset, 10)
		}
	}
	return with
}
