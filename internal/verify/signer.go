package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func isHexSHA256(s string) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == sha256.Size && hex.EncodeToString(b) == s
}

// signer reads signer.pem.
func (c *check) signer(b []byte) *ecdsa.PublicKey {
	if b == nil {
		return nil
	}
	key, der, err := readKey(b)
	if err != nil {
		c.problem(codeSigner, fileSigner, "%v", err)
		return nil
	}
	c.report.KeySHA256 = hexSHA256(der)
	c.report.ReceiptCode = receiptCode(der)
	return key
}

func readKey(b []byte) (*ecdsa.PublicKey, []byte, error) {
	blocks, err := readPEM(b, "PUBLIC KEY", 1)
	if err != nil {
		return nil, nil, err
	}
	k, err := x509.ParsePKIXPublicKey(blocks[0])
	if err != nil {
		return nil, nil, err
	}
	key, ok := k.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, nil, errors.New("not an ECDSA P-256 key")
	}
	return key, blocks[0], nil
}

// readPEM reads a file of n PEM blocks of one type. It takes them only in the one form
// that an encoder writes (RFC 7468, section 3: 64 characters to a line, no headers,
// nothing around them), for base64 leaves bits unused before its padding, and a file
// with two forms could be changed without anybody seeing it.
func readPEM(b []byte, typ string, n int) ([][]byte, error) {
	var blocks [][]byte
	var canonical []byte
	for rest := b; len(rest) > 0 && len(blocks) < n; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil || block.Type != typ {
			break
		}
		blocks = append(blocks, block.Bytes)
		canonical = append(canonical, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: block.Bytes})...)
	}
	if len(blocks) != n || !bytes.Equal(b, canonical) {
		return nil, fmt.Errorf("want %d PEM blocks %s and nothing else", n, typ)
	}
	return blocks, nil
}

func (c *check) signature(key *ecdsa.PublicKey, message, sig []byte) {
	sum := sha256.Sum256(message)
	if !ecdsa.VerifyASN1(key, sum[:], sig) {
		c.problem(codeSignature, fileSignature, "not a signature over %s by the key in %s", fileManifest, fileSigner)
	}
}

// bindSigner checks that signer.pem is the key that the manifest names.
func (c *check) bindSigner(m *manifest) {
	if c.report.KeySHA256 != "" && c.report.KeySHA256 != m.keySHA256 {
		c.problem(codeSigner, fileSigner, "the manifest names the key %s, this is %s", m.keySHA256, c.report.KeySHA256)
	}
}

// certificate checks signer-cert.pem and returns the CA in it.
func (c *check) certificate(m *manifest, b []byte) *x509.Certificate {
	if b == nil {
		if m.endpointID != "" {
			c.problem(codeMissing, fileCert, "the manifest speaks for %s", m.endpointID)
		}
		return nil
	}
	if m.oneTime {
		c.problem(codeCertificate, fileCert, "a one-time key has no certificate")
		return nil
	}
	leaf, ca, err := readChain(b)
	if err == nil {
		err = checkLeaf(leaf, ca, "hozen://endpoint/"+m.endpointID, x509.ExtKeyUsageClientAuth, time.Time{})
	}
	if err == nil && c.report.KeySHA256 != "" && hexSHA256(leaf.RawSubjectPublicKeyInfo) != c.report.KeySHA256 {
		err = errors.New("it is for another key than " + fileSigner)
	}
	if err != nil {
		c.problem(codeCertificate, fileCert, "%v", err)
		return nil
	}
	c.report.CASHA256 = hexSHA256(ca.Raw)
	return ca
}

// readChain reads a certificate and, after it, its issuer's.
func readChain(b []byte) (leaf, ca *x509.Certificate, err error) {
	blocks, err := readPEM(b, "CERTIFICATE", 2)
	if err != nil {
		return nil, nil, err
	}
	if leaf, err = x509.ParseCertificate(blocks[0]); err != nil {
		return nil, nil, err
	}
	if ca, err = x509.ParseCertificate(blocks[1]); err != nil {
		return nil, nil, err
	}
	return leaf, ca, nil
}

// checkLeaf checks that ca issued leaf to the one URI name. At the zero time it does
// not look at the clock: evidence outlives certificates, and the PC's clock proves nothing.
func checkLeaf(leaf, ca *x509.Certificate, uri string, use x509.ExtKeyUsage, at time.Time) error {
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != uri {
		return fmt.Errorf("it is not for %s", uri)
	}
	if leaf.IsCA || bytes.Equal(leaf.Raw, ca.Raw) {
		return errors.New("it is a CA's certificate")
	}
	for _, cert := range []*x509.Certificate{leaf, ca} {
		if at.Before(cert.NotBefore) {
			at = cert.NotBefore
		}
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

// anchors compares with what was known from outside.
func (c *check) anchors(m *manifest, ca *x509.Certificate) {
	r := &c.report
	switch a := c.anchor; {
	case a.empty() || m.acquisitionID == "":
	case a.CASHA256 != "" && ca == nil:
		c.problem(codeAnchor, fileCert, "there is no certificate that a CA could have issued; evidence of a PC that is not enrolled is checked by its receipt code")
	case a.CASHA256 != "" && a.CASHA256 != r.CASHA256:
		c.problem(codeAnchor, fileCert, "the CA is %s, not the one that was given", r.CASHA256)
	case a.CASHA256 != "" && m.oneTime: // the receipt's, see viaReceipt
	case a.CASHA256 != "":
		r.Anchor = "ca"
	case a.KeySHA256 != "" && a.KeySHA256 != r.KeySHA256:
		c.problem(codeAnchor, fileSigner, "the key is %s, not the one that was given", r.KeySHA256)
	case a.KeySHA256 != "":
		r.Anchor = "key"
	case a.ReceiptCode != r.ReceiptCode && a.ReceiptCode != paperCode(r.ManifestSHA256):
		c.problem(codeAnchor, fileSigner, "the receipt code is %s, not the one that was given", r.ReceiptCode)
	default:
		r.Anchor = "receipt_code"
	}
}

// The receipt code: the first 125 bits of the SHA-256 of the key's DER, in five groups
// of five characters.
const (
	codeGroups = 5
	codePer    = 5
)

func receiptCode(der []byte) string {
	sum := sha256.Sum256(der)
	s := strings.ToUpper(base32.NewEncoding(crockford).EncodeToString(sum[:]))
	var parts []string
	for i := range codeGroups {
		parts = append(parts, s[i*codePer:(i+1)*codePer])
	}
	return strings.Join(parts, "-")
}

// normalCode spells a receipt code as receiptCode does. People may write it in any
// case and with any spacing, and mix up the characters that Crockford's base32 leaves out.
func normalCode(s string) (string, error) {
	s = strings.NewReplacer("-", "", " ", "", "　", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(s))
	per := codePer
	if len(s) == paperGroups*paperPer {
		per = paperPer
	} else if len(s) != codeGroups*codePer {
		return "", fmt.Errorf("receipt code: want %d groups of %d letters and digits, or %d of %d", codeGroups, codePer, paperGroups, paperPer)
	}
	if strings.Trim(s, strings.ToUpper(crockford)) != "" {
		return "", errors.New("receipt code: it has letters and digits only, and no U")
	}
	var parts []string
	for ; s != ""; s = s[per:] {
		parts = append(parts, s[:per])
	}
	return strings.Join(parts, "-"), nil
}
