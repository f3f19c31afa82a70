package verify

import (
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// fileReceiptCA is the CA of the receipt for evidence that a one-time key signed: it has no
// certificate beside which the CA could stand.
const fileReceiptCA = "receipt-ca.pem"

// receiptCA reads the CA of the receipt of evidence that a one-time key signed, or returns ca.
func (c *check) receiptCA(m *manifest, ca *x509.Certificate, receipt []byte) *x509.Certificate {
	b := c.file(fileReceiptCA, maxSmall, true)
	if b == nil {
		return ca
	}
	if !m.oneTime || receipt == nil {
		c.problem(codeCertificate, fileReceiptCA, "it belongs to the receipt of evidence that a one-time key signed alone")
		return ca
	}
	blocks, err := readPEM(b, "CERTIFICATE", 1)
	var cert *x509.Certificate
	if err == nil {
		cert, err = x509.ParseCertificate(blocks[0])
	}
	if err != nil {
		c.problem(codeCertificate, fileReceiptCA, "%v", err)
		return ca
	}
	c.report.CASHA256 = hexSHA256(cert.Raw)
	return cert
}

// viaReceipt reports whether the CA that was given shows, by the receipt alone, that its
// collector holds this acquisition. Who made it, that does not show.
func (c *check) viaReceipt(m *manifest) bool {
	return m.oneTime && c.anchor.CASHA256 != "" && c.anchor.CASHA256 == c.report.CASHA256
}

// The code that the person with a USB kit wrote on paper: the first 60 bits of the SHA-256
// of the manifest, in three groups of four characters.
const (
	paperGroups = 3
	paperPer    = 4
)

func paperCode(manifestSHA256 string) string {
	sum, err := hex.DecodeString(manifestSHA256)
	if err != nil || len(sum) == 0 {
		return ""
	}
	s := strings.ToUpper(base32.NewEncoding(crockford).EncodeToString(sum))
	var parts []string
	for i := range paperGroups {
		parts = append(parts, s[i*paperPer:(i+1)*paperPer])
	}
	return strings.Join(parts, "-")
}
