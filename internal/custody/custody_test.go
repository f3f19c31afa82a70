package custody_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"hozen/internal/custody"
	"hozen/internal/custody/issue"
	"hozen/internal/digest"
	"hozen/internal/id"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 123, time.UTC)

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func certificate(t testing.TB, pub *ecdsa.PublicKey, parent *x509.Certificate, by *ecdsa.PrivateKey, usage x509.ExtKeyUsage) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "collector"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), BasicConstraintsValid: true,
	}
	if parent == nil {
		parent, c.IsCA, c.KeyUsage = c, true, x509.KeyUsageCertSign
	} else {
		c.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, by)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func receipt(ca *x509.Certificate) custody.Receipt {
	d := digest.Of([]byte("x")).String()
	return custody.Receipt{
		AcquisitionID: id.New(id.Acquisition), EndpointID: id.New(id.Endpoint), IncidentNumber: "INC-2026-0001",
		ManifestSHA256: d, ReceivedAt: now,
		Evidence:  []custody.Evidence{{Number: "INC-2026-0001-E01", Name: "artifacts/process.jsonl.zst", Kind: "process", StoredSHA256: d}},
		Ledger:    custody.Ledger{Index: 4, LeafSHA256: d, TreeSize: 5, RootSHA256: d},
		Collector: custody.Collector{Name: "保全サーバー", CASHA256: digest.Of(ca.Raw).String()},
	}
}

func TestReceipt(t *testing.T) {
	caKey, serverKey, endpointKey := key(t), key(t), key(t)
	ca := certificate(t, &caKey.PublicKey, nil, caKey, 0)
	server := certificate(t, &serverKey.PublicKey, ca, caKey, x509.ExtKeyUsageServerAuth)
	endpoint := certificate(t, &endpointKey.PublicKey, ca, caKey, x509.ExtKeyUsageClientAuth)
	want := receipt(ca)
	s, err := issue.Receipt(want, serverKey, server.Raw)
	if err != nil {
		t.Fatal(err)
	}
	file, err := custody.EncodeFile(s)
	if err != nil {
		t.Fatal(err)
	}
	if s, err = custody.DecodeFile(file); err != nil {
		t.Fatal(err)
	}
	got, err := custody.Verify(s, ca)
	if err != nil || got.AcquisitionID != want.AcquisitionID || !got.ReceivedAt.Equal(now) || len(got.Evidence) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}

	edited := s
	edited.Payload = bytes.Replace(s.Payload, []byte("INC-2026-0001"), []byte("INC-2026-0002"), 1)
	if _, err := custody.Verify(edited, ca); !errors.Is(err, custody.ErrSignature) {
		t.Errorf("an edited payload: %v", err)
	}
	otherKey := key(t)
	other := certificate(t, &otherKey.PublicKey, nil, otherKey, 0)
	if _, err := custody.Verify(s, other); !errors.Is(err, custody.ErrSignature) {
		t.Errorf("another collector's CA: %v", err)
	}
	forged, err := issue.Receipt(want, endpointKey, endpoint.Raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := custody.Verify(forged, ca); !errors.Is(err, custody.ErrSignature) {
		t.Errorf("signed by an endpoint of the same CA: %v", err)
	}
	late := want
	late.ReceivedAt = now.Add(48 * time.Hour)
	if s, err = issue.Receipt(late, serverKey, server.Raw); err != nil {
		t.Fatal(err)
	}
	if _, err := custody.Verify(s, ca); !errors.Is(err, custody.ErrSignature) {
		t.Errorf("signed after the certificate's end: %v", err)
	}
}

func TestIssueRefuses(t *testing.T) {
	k := key(t)
	ca := certificate(t, &k.PublicKey, nil, k, 0)
	bad := receipt(ca)
	bad.Ledger.TreeSize = bad.Ledger.Index
	if _, err := issue.Receipt(bad, k, nil); !errors.Is(err, custody.ErrMalformed) {
		t.Errorf("a receipt that nobody would accept was signed: %v", err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := issue.Receipt(receipt(ca), p384, nil); err == nil {
		t.Error("signed with another curve")
	}
}

func TestDecodeRefuses(t *testing.T) {
	k := key(t)
	ca := certificate(t, &k.PublicKey, nil, k, 0)
	s, err := issue.Receipt(receipt(ca), k, nil)
	if err != nil {
		t.Fatal(err)
	}
	good := string(s.Payload)
	for name, payload := range map[string]string{
		"empty":         "",
		"other format":  strings.Replace(good, "hozen-receipt/1", "hozen-receipt/2", 1),
		"unknown field": strings.Replace(good, `{"format"`, `{"x":1,"format"`, 1),
		"trailing":      good + "{}",
		"upper case":    strings.Replace(good, `"manifest_sha256":"2d`, `"manifest_sha256":"2D`, 1),
		"foreign id":    strings.Replace(good, `"acq_`, `"end_`, 1),
		"huge":          good + strings.Repeat(" ", custody.MaxReceipt),
		"no time":       strings.Replace(good, "2026-11-22T12:00:00.000000123Z", "0001-01-01T00:00:00Z", 1),
	} {
		if _, err := custody.Decode([]byte(payload)); !errors.Is(err, custody.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := custody.DecodeFile([]byte(`{"format":"hozen-signed-receipt/9"}`)); !errors.Is(err, custody.ErrMalformed) {
		t.Errorf("other file format: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	k := key(f)
	ca := certificate(f, &k.PublicKey, nil, k, 0)
	s, err := issue.Receipt(receipt(ca), k, ca.Raw)
	if err != nil {
		f.Fatal(err)
	}
	file, err := custody.EncodeFile(s)
	if err != nil {
		f.Fatal(err)
	}
	other := key(f)
	ca = certificate(f, &other.PublicKey, nil, other, 0)
	f.Add(s.Payload)
	f.Add(file)
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := custody.Decode(b); err == nil {
			again, err := json.Marshal(r)
			if err == nil {
				_, err = custody.Decode(again)
			}
			if err != nil {
				t.Errorf("its own encoding is refused: %v", err)
			}
		} else if !errors.Is(err, custody.ErrMalformed) {
			t.Errorf("error without its kind: %v", err)
		}
		if s, err := custody.DecodeFile(b); err == nil {
			if _, err := custody.Verify(s, ca); err == nil {
				t.Error("verified, though only another CA signed anything here")
			}
		}
	})
}
