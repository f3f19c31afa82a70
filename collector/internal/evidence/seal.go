package evidence

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"hozen/collector/internal/blob"
	"hozen/internal/artifact"
	"hozen/internal/crashpoint"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// sealed is an acquisition as its endpoint signed it. Its JSON lies beside the parts
// from the moment everything is proven until the rows are stored.
type sealed struct {
	Manifest    []byte `json:"manifest"`
	Signature   []byte `json:"signature"`
	Certificate []byte `json:"certificate"` // or the one-time key, see [credential]
	m           artifact.Manifest
	entries     []digest.Digest // stored digests, in the order of the manifest
}

// Bounds of what comes with a manifest, in bytes.
const (
	maxSignature   = 128 // ASN.1 of two 32-byte numbers has at most 72
	maxCertificate = 16 << 10
)

// Seal ends the acquisition with its manifest, the detached signature (ECDSA
// P-256/SHA-256, ASN.1 DER, over those exact bytes) and the certificate (DER) of the
// key, which may be an earlier one of the endpoint. Everything is proven, stored and
// recorded before the receipt returns; the same acquisition again gets the same
// receipt again.
func (u *Upload) Seal(ctx context.Context, manifest, signature, certificate []byte) (Receipt, error) {
	var r Receipt
	err := u.do(ctx, func() error {
		if u.part != nil {
			return refuse(Malformed, u.part.name, "the part was not ended")
		}
		in := sealed{Manifest: manifest, Signature: signature, Certificate: certificate}
		var err error
		r, err = u.s.seal(ctx, &in)
		return err
	})
	return r, err
}

func (s *session) seal(ctx context.Context, in *sealed) (Receipt, error) {
	if err := s.check(ctx, in); err != nil {
		return Receipt{}, err
	}
	known, err := accepted(ctx, s.i.cfg.DB.Read(), s.acquisitionID)
	if err != nil {
		return Receipt{}, err
	}
	if known != nil {
		return s.again(known, in)
	}
	if err := s.complete(ctx, in, false); err != nil {
		return Receipt{}, err
	}
	if err := s.i.step(crashpoint.EvidenceSealKept, func() error { return s.keepSeal(in) }); err != nil {
		return Receipt{}, err
	}
	return s.accept(ctx, in)
}

// finish goes on where a crash interrupted accept; nothing that lay on the disk is
// taken for proven.
func (s *session) finish(ctx context.Context) (Receipt, error) {
	in, err := s.readSeal()
	if err != nil {
		return Receipt{}, err
	}
	r, err := func() (Receipt, error) {
		if err := s.check(ctx, in); err != nil {
			return Receipt{}, err
		}
		known, err := accepted(ctx, s.i.cfg.DB.Read(), s.acquisitionID)
		if err != nil {
			return Receipt{}, err
		}
		if known != nil {
			return s.again(known, in)
		}
		if err := s.complete(ctx, in, true); err != nil {
			return Receipt{}, err
		}
		return s.accept(ctx, in)
	}()
	if _, ok := errors.AsType[*Refusal](err); ok {
		err = errors.Join(err, s.clear())
	}
	return r, spaceError(err)
}

// check proves that this endpoint signed these bytes, and that they speak of this
// acquisition.
func (s *session) check(ctx context.Context, in *sealed) error {
	switch {
	case len(in.Manifest) > MaxManifest:
		return refuse(TooLarge, "", "a manifest of %d bytes", len(in.Manifest))
	case len(in.Signature) > maxSignature || len(in.Certificate) > maxCertificate:
		return refuse(TooLarge, "", "a signature of %d bytes, a certificate of %d", len(in.Signature), len(in.Certificate))
	}
	// The signature first: what nobody signed is not worth reading.
	signer, err := readCredential(in.Certificate)
	if err != nil {
		return refuse(BadSignature, "", "%v", err)
	}
	key, err := s.i.cfg.Verifier.SignerKey(ctx, s.endpointID, in.Certificate)
	if errors.Is(err, ErrNotIssued) {
		return refuse(BadSignature, "", "%v", err)
	}
	if err != nil {
		return fmt.Errorf("look up the signer: %w", err)
	}
	sum := sha256.Sum256(in.Manifest)
	if !ecdsa.VerifyASN1(key, sum[:], in.Signature) {
		return refuse(BadSignature, "", "the manifest's signature is not by the key of the certificate")
	}
	if in.m, err = DecodeManifest(in.Manifest); err != nil {
		return refuse(Malformed, "", "%v", err)
	}
	switch {
	case in.m.EndpointID != s.endpointID && !(signer.oneTime && in.m.EndpointID == ""):
		return refuse(ForeignEndpoint, "", "the manifest is of endpoint %.60q", in.m.EndpointID)
	case signer.oneTime != in.m.Signer.OneTime:
		return refuse(BadSignature, "", "the manifest and what came with it disagree on whether a one-time key signed it")
	case in.m.AcquisitionID != s.acquisitionID:
		return refuse(Malformed, "", "the manifest is of acquisition %.60q", in.m.AcquisitionID)
	case in.m.Signer.KeySHA256 != signer.keySHA256:
		return refuse(BadSignature, "", "the manifest names another key as its signer")
	}
	in.entries = nil
	for _, e := range in.m.Artifacts {
		d, err := digest.Parse(e.Stored.SHA256)
		if err != nil {
			return refuse(Malformed, e.Name, "%v", err)
		}
		in.entries = append(in.entries, d)
	}
	return nil
}

// complete proves that exactly the artifacts of the manifest are there and hold what
// it says. With inBlobs, an artifact may have moved to the blob store already.
func (s *session) complete(ctx context.Context, in *sealed, inBlobs bool) error {
	named := map[string]bool{}
	for n, e := range in.m.Artifacts {
		named[e.Name] = true
		p := s.parts[e.Name]
		var err error
		switch {
		case p == nil && inBlobs:
			var moved *proof
			if moved, err = s.proofOfBlob(ctx, e, in.entries[n]); err == nil {
				err = compare(e, moved)
			}
		case p == nil:
			err = refuse(ArtifactMissing, e.Name, "it did not arrive")
		case !p.ended:
			err = refuse(ArtifactMissing, e.Name, "it arrived in part: %d bytes of %d", p.size, e.Stored.Size)
		default:
			if p.proof == nil {
				got, rerr := reproof(s.i.vault(), s.dir, e.Name)
				if rerr != nil {
					return fmt.Errorf("read part again: %w", rerr)
				}
				p.proof = &got
			}
			err = compare(e, p.proof)
		}
		if err != nil {
			return err
		}
	}
	for name, p := range s.parts {
		// A part that was begun and never ended, and that the manifest does not name, was
		// given up by its agent: a probe that failed, or a PC that lost power in the middle
		// of it. It claims nothing and goes with the folder.
		if !named[name] && p.ended {
			return refuse(ArtifactUnknown, name, "the manifest does not name it")
		}
	}
	return nil
}

// compare refuses bytes that are not what the manifest says of them.
func compare(e artifact.Entry, p *proof) error {
	switch {
	case p.stored.String() != e.Stored.SHA256 || p.size != e.Stored.Size:
		return refuse(DigestMismatch, e.Name, "%d bytes with SHA-256 %s arrived, the manifest says %d with %s", p.size, p.stored, e.Stored.Size, e.Stored.SHA256)
	case p.unread != nil:
		return refuse(Malformed, e.Name, "cannot be decompressed: %v", p.unread)
	case p.plain.sum.String() != e.Plain.SHA256 || p.plain.size != e.Plain.Size:
		return refuse(DigestMismatch, e.Name, "decompressed, it has %d bytes with SHA-256 %s, the manifest says %d with %s", p.plain.size, p.plain.sum, e.Plain.Size, e.Plain.SHA256)
	case !hasLines(e.Name): // nothing to count
	case p.plain.records != e.Records || p.plain.size > 0 && !p.plain.whole:
		return refuse(Malformed, e.Name, "it has %d lines (the last one ended: %t), the manifest says %d records", p.plain.records, p.plain.whole, e.Records)
	}
	return nil
}

func (s *session) proofOfBlob(ctx context.Context, e artifact.Entry, d digest.Digest) (*proof, error) {
	r, err := s.i.cfg.Blobs.Open(ctx, d)
	if errors.Is(err, blob.ErrNotFound) {
		return nil, refuse(ArtifactMissing, e.Name, "it did not survive on the collector")
	}
	if err != nil {
		return nil, err
	}
	p, err := proveReader(r, e.Compression)
	return &p, errors.Join(err, r.Close())
}

// proveReader learns what bytes are, from their stored form.
func proveReader(r io.Reader, compression string) (proof, error) {
	h := digest.NewWriter(io.Discard)
	inf := newInflater(compression)
	var rerr error
	for rerr == nil {
		buf := make([]byte, 256<<10)
		var n int
		n, rerr = r.Read(buf)
		_, _ = h.Write(buf[:n]) // to io.Discard
		if n > 0 {
			inf.feed(buf[:n])
		}
	}
	p := proof{stored: h.Sum(), size: h.Size()}
	p.plain, p.unread = inf.finish()
	if rerr != io.EOF {
		return proof{}, rerr
	}
	return p, nil
}

// again answers an acquisition that was accepted before.
func (s *session) again(known *known, in *sealed) (Receipt, error) {
	if known.endpointID != s.endpointID {
		return Receipt{}, refuse(ForeignEndpoint, "", "the identifier belongs to another endpoint's acquisition")
	}
	if known.manifestSHA256 != digest.Of(in.Manifest).String() {
		return Receipt{}, refuse(Conflict, "", "another manifest is already accepted under this identifier")
	}
	for n, e := range in.m.Artifacts {
		if p := s.parts[e.Name]; p != nil && p.proof != nil && p.proof.stored != in.entries[n] {
			return Receipt{}, refuse(Conflict, e.Name, "other bytes are already accepted under this identifier")
		}
	}
	if err := s.i.step(crashpoint.EvidenceCleaned, s.clear); err != nil {
		return Receipt{}, err
	}
	return known.receipt, nil
}

// accept moves proven bytes to where they stay and stores the rows. Repeating it
// after a crash at any point ends in the same state.
func (s *session) accept(ctx context.Context, in *sealed) (Receipt, error) {
	for n, e := range in.m.Artifacts {
		if s.parts[e.Name] == nil {
			continue // moved before a crash
		}
		if err := s.i.step(crashpoint.EvidenceBlobKept, func() error {
			return s.i.cfg.Blobs.Adopt(ctx, in.entries[n], e.Stored.Size, partPath(s.dir, e.Name, ended))
		}); err != nil {
			s.loaded = false // the part may be there or not; ask the folder next time
			s.parts = map[string]*partInfo{}
			return Receipt{}, err
		}
		delete(s.parts, e.Name)
		if err := s.i.charge(s.endpointID, -e.Stored.Size); err != nil {
			return Receipt{}, err
		}
	}
	if err := s.putManifest(ctx, in); err != nil {
		return Receipt{}, err
	}
	var r Receipt
	if err := s.i.step(crashpoint.EvidenceRowsKept, func() (err error) {
		r, err = s.i.store(ctx, s, in)
		return err
	}); err != nil {
		return Receipt{}, err
	}
	if err := s.i.step(crashpoint.EvidenceCleaned, s.clear); err != nil {
		return Receipt{}, err
	}
	return r, nil
}

func (s *session) keepSeal(in *sealed) error {
	b, err := json.Marshal(in)
	if err == nil {
		b, err = hidden(s.i.vault(), b)
	}
	if err != nil {
		return fmt.Errorf("keep the seal: %w", err)
	}
	// An acquisition may have no part, and then no folder yet.
	if err := durable.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("keep the seal: %w", err)
	}
	// Parts must survive as long as the seal that speaks of them.
	for name, p := range s.parts {
		if p.ended {
			if err := syncFile(partPath(s.dir, name, ended)); err != nil {
				// Never synced again: the kernel tells once, and the cache still looks whole.
				return errors.Join(fmt.Errorf("keep the seal: %w", err), s.removePart(name))
			}
		}
	}
	if err := s.i.charge(s.endpointID, int64(len(b))); err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(s.dir, sealFile), b, 0o600); err != nil {
		return fmt.Errorf("keep the seal: %w", err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

func (s *session) readSeal() (*sealed, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, sealFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the seal: %w", ErrOffset)
	}
	if err != nil {
		return nil, fmt.Errorf("read the seal: %w", err)
	}
	if b, err = shown(s.i.vault(), b); err != nil {
		return nil, fmt.Errorf("read the seal: %w", err)
	}
	var in sealed
	if err := json.Unmarshal(b, &in); err != nil {
		return nil, fmt.Errorf("read the seal: %w", err)
	}
	return &in, nil
}
