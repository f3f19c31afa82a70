package timestamp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/notaryproject/tspclient-go"
)

// ErrToken means that bytes are no time stamp of the data, or none of somebody who is
// trusted.
var ErrToken = errors.New("not a time stamp of this")

// sha256OID is id-sha256 (RFC 5754).
func sha256OID() asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 2, 1}
}

// Facts are what a token says, after its signature was checked.
type Facts struct {
	At       time.Time     // genTime, by the authority's clock, UTC
	Accuracy time.Duration // how far At may be off either way; 0: the token does not say
	Policy   string        // object identifier in dots
	Serial   string        // decimal
	// Chain leads from the authority's certificate to one of the roots.
	Chain []*x509.Certificate
}

// Check proves offline that an authority's answer (TimeStampResp, DER) holds a time stamp of
// data whose signer chains to one of roots, as "openssl ts -verify" does it. The signer's
// certificate must have been valid at the time that is stamped. All errors wrap [ErrToken].
func Check(ctx context.Context, response, data []byte, roots *x509.CertPool) (Facts, error) {
	f, err := check(ctx, response, data, roots)
	if err != nil {
		return Facts{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return f, nil
}

func check(ctx context.Context, response, data []byte, roots *x509.CertPool) (Facts, error) {
	parsed, err := parse(response)
	if err != nil {
		return Facts{}, err
	}
	token, err := parsed.SignedToken()
	if err != nil {
		return Facts{}, err
	}
	info, err := token.Info()
	if err != nil {
		return Facts{}, err
	}
	if !info.MessageImprint.HashAlgorithm.Algorithm.Equal(sha256OID()) {
		return Facts{}, fmt.Errorf("its imprint is of the algorithm %v, want SHA-256", info.MessageImprint.HashAlgorithm.Algorithm)
	}
	if sum := sha256.Sum256(data); !bytes.Equal(sum[:], info.MessageImprint.HashedMessage) {
		return Facts{}, errors.New("its imprint is of other data")
	}
	stamp, err := info.Validate(data)
	if err != nil {
		return Facts{}, err
	}
	// The time is believed once the signature holds; before it only says when the
	// certificate must have been valid.
	chain, err := token.Verify(ctx, x509.VerifyOptions{Roots: roots, CurrentTime: stamp.Value})
	if err != nil {
		return Facts{}, err
	}
	f := Facts{At: stamp.Value.UTC(), Accuracy: max(stamp.Accuracy, 0), Policy: info.Policy.String(), Chain: chain}
	if info.SerialNumber != nil {
		f.Serial = info.SerialNumber.String()
	}
	return f, nil
}

// parse reads an answer. Everything in it must be read: bytes behind it would not be part
// of what is signed.
func parse(response []byte) (*tspclient.Response, error) {
	if len(response) > MaxResponse {
		return nil, fmt.Errorf("it has %d bytes", len(response))
	}
	var r tspclient.Response
	rest, err := asn1.Unmarshal(response, &r)
	if err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("read answer: %d bytes behind it", len(rest))
	}
	return &r, nil
}

// chainPEM writes what a verifier needs beside a token: the chain without the signer's own
// certificate, which the token has; a lone certificate is its own root.
func chainPEM(chain []*x509.Certificate) string {
	if len(chain) > 1 {
		chain = chain[1:]
	}
	var b bytes.Buffer
	for _, c := range chain {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.String()
}

// RootsPEM reads certificates for [AuthorityConfig.Roots].
func RootsPEM(b []byte) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(b) {
		return nil, errors.New("read certificates: no PEM of a certificate")
	}
	return pool, nil
}
