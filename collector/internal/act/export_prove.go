package act

import (
	"context"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"log/slog"

	"golang.org/x/mod/sumdb/tlog"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/export"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
	"hozen/internal/custody"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/pki"
)

// prove adds the entries of the ledger that a package shows, each with its proof, and the
// proofs that the ledger goes on from what the receipts say.
func (s *Acts) prove(ctx context.Context, q sqldb.Queryer, p *export.Package, about []string, indexes []int64) error {
	entries, err := ledger.Concerning(ctx, q, p.OrganisationID, p.LedgerSize, about, indexes)
	if err != nil {
		return err
	}
	for _, e := range entries {
		proof, err := ledger.Inclusion(ctx, q, p.OrganisationID, p.LedgerSize, e.Index)
		if err != nil {
			return err
		}
		p.Entries = append(p.Entries, export.Entry{Index: e.Index, Text: e.Text, Salt: e.Salt, Leaf: hex.EncodeToString(e.Leaf[:]), Proof: hashes(proof)})
	}
	if err := proveCheckpoint(ctx, q, p); err != nil {
		return err
	}
	for _, a := range p.Acquisitions {
		sealed, err := s.evidence.Sealed(ctx, p.OrganisationID, a.ID)
		if err != nil {
			return err
		}
		r, err := custody.Decode(sealed.Receipt.Payload)
		if err != nil {
			return fmt.Errorf("receipt of %s: %w", a.ID, err)
		}
		proof, err := ledger.Consistency(ctx, q, p.OrganisationID, p.LedgerSize, r.Ledger.TreeSize)
		if err != nil {
			return err
		}
		p.Grown = append(p.Grown, export.Grown{AcquisitionID: a.ID, Size: r.Ledger.TreeSize, Root: r.Ledger.RootSHA256, Proof: hashes(proof)})
	}
	return nil
}

// withCheckpoint gives a package that was never written a signed checkpoint that covers it,
// and keeps that with its record. Without one the package is made all the same: that the
// ledger is not signed is told elsewhere, and evidence must be had in an emergency.
func (s *Acts) withCheckpoint(ctx context.Context, a Actor, r export.Record) (export.Record, error) {
	if s.checkpoints == nil || r.Checkpoint != "" || r.SHA256 != "" {
		return r, nil
	}
	signed, err := s.checkpoints.Sign(ctx, r.OrganisationID, r.LedgerSize)
	if err != nil {
		if ctx.Err() != nil {
			return r, ctx.Err()
		}
		s.log.WarnContext(ctx, "package without a checkpoint", slog.String("package", r.Number), slog.Any("error", err))
		return r, nil
	}
	s.witnessCheckpoint(ctx, a, r.OrganisationID, signed)
	err = s.write(ctx, a, mayExport, func(ctx context.Context, d *deed) error {
		if err := export.KeepCheckpoint(ctx, d.tx, r.ID, signed.Note, signed.Key.Text(signed.Origin)); err != nil {
			return err
		}
		r, err = findExport(ctx, d.tx, r.OrganisationID, r.ID) // another may have been faster
		return err
	})
	return r, err
}

// proveCheckpoint adds the proof that the ledger that was signed goes on from that of the
// package.
func proveCheckpoint(ctx context.Context, q sqldb.Queryer, p *export.Package) error {
	if p.Checkpoint == "" {
		return nil
	}
	c, err := checkpoint.Parse(p.Checkpoint)
	if err != nil {
		return err
	}
	proof, err := ledger.Consistency(ctx, q, p.OrganisationID, c.Size, p.LedgerSize)
	if err != nil {
		return err
	}
	p.CheckpointProof = hashes(proof)
	return nil
}

func hashes(list []tlog.Hash) []string {
	out := []string{}
	for _, h := range list {
		out = append(out, hex.EncodeToString(h[:]))
	}
	return out
}

// sealedFiles are the files of an acquisition beside its artifacts, as an agent lays them
// out (evidence-format.md).
func sealedFiles(sealed evidence.Sealed, ca []byte) (map[string][]byte, error) {
	receipt, err := custody.EncodeFile(custody.Signed{Payload: sealed.Receipt.Payload, Signature: sealed.Receipt.Signature, Certificate: sealed.Receipt.Certificate})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{artifact.ManifestFile: sealed.Manifest, artifact.SignatureFile: sealed.Signature, artifact.ReceiptFile: receipt}
	key := sealed.OneTimeKey()
	if key != nil {
		files[artifact.ReceiptCAFile] = pki.CertificatePEM(ca)
	} else {
		cert, err := pki.ParseCertificate(sealed.Certificate)
		if err != nil {
			return nil, err
		}
		key = cert.RawSubjectPublicKeyInfo
		files[artifact.CertFile] = append(pki.CertificatePEM(sealed.Certificate), pki.CertificatePEM(ca)...)
	}
	files[artifact.SignerFile] = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key})
	return files, nil
}

func organisationName(ctx context.Context, q sqldb.Queryer, organisationID string) (string, error) {
	all, err := organisation.All(ctx, q)
	if err != nil {
		return "", err
	}
	for _, o := range all {
		if o.ID == organisationID {
			return o.Name, nil
		}
	}
	return "", organisation.ErrNotFound
}
