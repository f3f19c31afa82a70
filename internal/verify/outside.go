package verify

import (
	"bytes"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Files of what others say of the ledger.
const (
	fileStamp    = "data/custody/checkpoint.tsr"
	fileStampCA  = "data/custody/timestamp-ca.pem"
	fileCosigned = "data/custody/cosigned.txt"
	maxStamp     = 256 << 10
)

// stamp holds the time stamp against the checkpoint: it is of exactly these bytes. Who signed
// it, and whether that authority is to be trusted, is not looked at here.
func (p *pack) stamp() {
	part := p.parts[partStamp]
	if !p.doc.timestamp {
		part.Outcome = Absent
		if _, _, why := p.tree.open(fileStamp); why == nil {
			p.problem(partStamp, codeStamp, fileStamp, "package.json says that there is none")
		}
		return
	}
	b, note := p.small(partStamp, fileStamp, maxStamp), p.small(partStamp, fileSigned, maxSmall)
	if b == nil || note == nil {
		return
	}
	at, err := readStamp(b, sha256.Sum256(note))
	if err != nil {
		p.problem(partStamp, codeStamp, fileStamp, "%v", err)
		return
	}
	part.Count, part.Detail = 1, at.UTC().Format(time.RFC3339)
	p.unchecked(fileStamp, "stamp_signature")
}

// The structures of RFC 3161 and RFC 5652 as far as they are read.
type (
	stampResponse struct {
		Status asn1.RawValue
		Token  contentInfo `asn1:"optional"`
	}
	contentInfo struct {
		Type    asn1.ObjectIdentifier
		Content asn1.RawValue `asn1:"explicit,tag:0"`
	}
	signedData struct {
		Version    int
		Algorithms asn1.RawValue `asn1:"set"`
		Content    contentInfo
	}
	stampInfo struct {
		Version int
		Policy  asn1.ObjectIdentifier
		Imprint struct {
			Algorithm struct {
				ID         asn1.ObjectIdentifier
				Parameters asn1.RawValue `asn1:"optional"`
			}
			Hash []byte
		}
		Serial asn1.RawValue
		At     time.Time `asn1:"generalized"`
	}
)

// readStamp reads a TimeStampResp (RFC 3161, 2.4.2) that must be over a SHA-256, and returns
// its time.
func readStamp(der []byte, of [sha256.Size]byte) (time.Time, error) {
	var r stampResponse
	if rest, err := asn1.Unmarshal(der, &r); err != nil || len(rest) > 0 {
		return time.Time{}, fmt.Errorf("it is no answer of a time stamping authority: %v", err)
	}
	status := 0
	if _, err := asn1.Unmarshal(r.Status.Bytes, &status); err != nil || status > 1 {
		return time.Time{}, fmt.Errorf("the authority refused: status %d", status)
	}
	if !r.Token.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}) {
		return time.Time{}, errors.New("it holds no signed data")
	}
	var d signedData
	if _, err := asn1.Unmarshal(explicit(r.Token.Content), &d); err != nil {
		return time.Time{}, fmt.Errorf("signed data: %w", err)
	}
	if !d.Content.Type.Equal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 16, 1, 4}) {
		return time.Time{}, errors.New("what was signed is no time stamp")
	}
	var text []byte
	if _, err := asn1.Unmarshal(explicit(d.Content.Content), &text); err != nil {
		return time.Time{}, fmt.Errorf("time stamp: %w", err)
	}
	var t stampInfo
	if _, err := asn1.Unmarshal(text, &t); err != nil {
		return time.Time{}, fmt.Errorf("time stamp: %w", err)
	}
	if !t.Imprint.Algorithm.ID.Equal(asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}) || !bytes.Equal(t.Imprint.Hash, of[:]) {
		return time.Time{}, fmt.Errorf("it is of the hash %x, the checkpoint has the SHA-256 %s", t.Imprint.Hash, hex.EncodeToString(of[:]))
	}
	return t.At, nil
}

// explicit is what stands inside an explicit tag.
func explicit(v asn1.RawValue) []byte {
	if v.Class == asn1.ClassContextSpecific {
		return v.Bytes
	}
	return v.FullBytes
}

// cosigned holds the checkpoint with the signatures of witnesses against the checkpoint. Their
// keys are not in the package, so the signatures are not checked.
func (p *pack) cosigned() {
	b := p.optional(partCheckpoint, fileCosigned, p.doc.cosigned)
	if b == nil {
		return
	}
	note := p.small(partCheckpoint, fileSigned, maxSmall)
	lines, ok := bytes.CutPrefix(b, note)
	if note == nil || !ok || len(lines) == 0 {
		p.problem(partCheckpoint, codeCheckpoint, fileCosigned, "it is not the checkpoint with more signatures")
		return
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(lines), "\n"), "\n") {
		if !strings.HasPrefix(line, "— ") {
			p.problem(partCheckpoint, codeCheckpoint, fileCosigned, "something else than signatures follows the checkpoint")
			return
		}
	}
	p.unchecked(fileCosigned, "cosignatures")
}

// optional reads a small file that is there exactly when it is said to be.
func (p *pack) optional(part, name string, said bool) []byte {
	if _, _, why := p.tree.open(name); !said {
		if why == nil {
			p.problem(part, codePackage, name, "package.json says that there is none")
		}
		return nil
	}
	return p.small(part, name, maxSmall)
}
