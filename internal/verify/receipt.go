package verify

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

const (
	formatReceipt       = "hozen-receipt/1"
	formatSignedReceipt = "hozen-signed-receipt/1"
)

// signedReceipt is receipt.json.
type signedReceipt struct {
	payload, signature, certificate []byte
	// beside it, all or none
	checkpoint, verifierKey string
	inclusion               []node
}

// receiptFacts is the payload.
type receiptFacts struct {
	Receipt
	acquisitionID, endpointID string
	manifestSHA256            string
	caSHA256                  string
	evidence                  map[string]string // name → stored SHA-256
	treeSize                  int64
	leaf, root                string
}

// receipt checks the collector's receipt against everything else.
func (c *check) receipt(m *manifest, ca *x509.Certificate, b []byte) {
	r, err := checkReceipt(m, ca, b, c.report.ManifestSHA256)
	if err != nil {
		c.problem(codeReceipt, fileReceipt, "%v", err)
		return
	}
	r.Anchored = c.report.Anchor == "ca" || c.viaReceipt(m)
	c.report.Receipt, c.receiptFacts = &r.Receipt, r
}

func checkReceipt(m *manifest, ca *x509.Certificate, b []byte, manifestSHA256 string) (*receiptFacts, error) {
	s, err := readSignedReceipt(b)
	if err != nil {
		return nil, err
	}
	r, err := readReceipt(s.payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if ca == nil {
		return nil, errors.New("without the CA in " + fileCert + " nobody can tell who signed it")
	}
	if r.caSHA256 != hexSHA256(ca.Raw) {
		return nil, fmt.Errorf("it names another CA than %s", fileCert)
	}
	cert, err := x509.ParseCertificate(s.certificate)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	if err := checkLeaf(cert, ca, "hozen://collector", x509.ExtKeyUsageServerAuth, r.ReceivedAt); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	key, ok := cert.PublicKey.(*ecdsa.PublicKey)
	sum := sha256.Sum256(s.payload)
	if !ok || key.Curve != elliptic.P256() || !ecdsa.VerifyASN1(key, sum[:], s.signature) {
		return nil, errors.New("its signature is not right")
	}
	switch {
	case r.acquisitionID != m.acquisitionID:
		return nil, fmt.Errorf("it is for the acquisition %s", r.acquisitionID)
	case r.endpointID != m.endpointID && !m.oneTime: // a one-time key speaks for no endpoint
		return nil, fmt.Errorf("it is for the endpoint %s", r.endpointID)
	case r.manifestSHA256 != manifestSHA256:
		return nil, fmt.Errorf("it is for the manifest with the SHA-256 %s", r.manifestSHA256)
	case len(r.evidence) != len(m.artifacts):
		return nil, fmt.Errorf("it confirms %d artifacts, the manifest has %d", len(r.evidence), len(m.artifacts))
	}
	for _, a := range m.artifacts {
		if r.evidence[a.name] != a.stored.sha256 {
			return nil, fmt.Errorf("it does not confirm %s", a.name)
		}
	}
	return &r, s.proven(&r)
}

// proven checks the proof beside a receipt that its entry stands in a signed ledger, if
// there is one. The key that signed is the one beside it: whose it is, an anchor shows.
func (s *signedReceipt) proven(r *receiptFacts) error {
	if s.checkpoint == "" {
		return nil
	}
	key, err := readVerifierKey(s.verifierKey)
	if err != nil {
		return fmt.Errorf("the proof beside it: %w", err)
	}
	size, root, err := key.open(s.checkpoint)
	if err != nil {
		return fmt.Errorf("the checkpoint beside it: %w", err)
	}
	leaf, ok := parseHash(r.leaf)
	if !ok || !included(leaf, r.LedgerIndex, size, s.inclusion, root) {
		return fmt.Errorf("the checkpoint beside it, of %d entries, does not hold its entry %d", size, r.LedgerIndex)
	}
	return nil
}

func readSignedReceipt(b []byte) (signedReceipt, error) {
	v, err := parseJSON(b)
	if err != nil {
		return signedReceipt{}, err
	}
	f := newFields(v, &err)
	oneOf(f, "format", f.text("format", true), []string{formatSignedReceipt})
	s := signedReceipt{payload: f.base64("payload"), signature: f.base64("signature"), certificate: f.base64("certificate")}
	s.checkpoint, s.verifierKey = f.text("checkpoint", false), f.text("verifier_key", false)
	if _, there := f.o["inclusion"]; there {
		for _, text := range f.texts("inclusion") {
			raw, derr := base64.StdEncoding.Strict().DecodeString(text)
			if derr != nil || len(raw) != len(node{}) || len(s.inclusion) > 64 {
				f.fail("%sinclusion holds something that is no hash, or too much", f.at)
				break
			}
			s.inclusion = append(s.inclusion, node(raw))
		}
	}
	f.done()
	return s, err
}

func (f *fields) base64(name string) []byte {
	b, err := base64.StdEncoding.Strict().DecodeString(f.text(name, true))
	if err != nil {
		f.fail("%s%s is not base64", f.at, name)
	}
	return b
}

func readReceipt(payload []byte) (receiptFacts, error) {
	v, err := parseJSON(payload)
	if err != nil {
		return receiptFacts{}, err
	}
	f := newFields(v, &err)
	oneOf(f, "format", f.text("format", true), []string{formatReceipt})
	r := receiptFacts{
		acquisitionID:  f.text("acquisition_id", true),
		endpointID:     f.text("endpoint_id", true),
		manifestSHA256: f.sha256("manifest_sha256", true),
		evidence:       map[string]string{},
	}
	checkID(f, "acquisition_id", "acq", r.acquisitionID)
	checkID(f, "endpoint_id", "end", r.endpointID)
	r.IncidentNumber = f.text("incident_number", false)
	r.ReceivedAt = f.time("received_at")
	if r.ReceivedAt.Equal(time.Time{}) {
		f.fail("received_at is the zero time")
	}
	for _, e := range f.list("evidence", maxArtifacts) {
		name := e.text("name", true)
		if _, twice := r.evidence[name]; twice {
			e.fail("%sname %.80q stands there twice", e.at, name)
		}
		r.evidence[name] = e.sha256("stored_sha256", true)
		e.text("number", false)
		e.text("kind", true)
		e.done()
	}
	l := f.sub("ledger")
	r.LedgerIndex = l.number("index", true)
	if r.treeSize = l.number("tree_size", true); r.treeSize <= r.LedgerIndex {
		l.fail("ledger.index %d is not in a tree of %d", r.LedgerIndex, r.treeSize)
	}
	r.leaf = l.sha256("leaf_sha256", true)
	r.root = l.sha256("root_sha256", true)
	l.done()
	col := f.sub("collector")
	r.Collector = col.text("name", true)
	r.caSHA256 = col.sha256("ca_sha256", true)
	col.done()
	f.done()
	return r, err
}
