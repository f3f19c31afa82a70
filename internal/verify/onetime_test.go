package verify_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/pki"
	"hozen/internal/usbkit"
	"hozen/internal/verify"
)

// TestCodeOnPaper: the code that a person with a USB kit wrote down is an anchor, made by the
// other side's own code.
func TestCodeOnPaper(t *testing.T) {
	f := newFolder(t)
	raw, err := os.ReadFile(filepath.Join(f.dir, artifact.ManifestFile))
	must(t, err)
	code := usbkit.ReceiptCode(digest.Of(raw))
	if r := check(t, f.dir, verify.Anchor{ReceiptCode: code}); r.Verdict != verify.Verified || r.Anchor != "receipt_code" {
		t.Errorf("%s, %s", r.Verdict, codes(r))
	}
	if r := check(t, f.dir, verify.Anchor{ReceiptCode: "0000-0000-0000"}); r.Verdict != verify.NotVerified {
		t.Errorf("another code: %s", r.Verdict)
	}
}

// TestReceiptCAStandsAloneNowhere: the file belongs to the receipt of a one-time key.
func TestReceiptCAStandsAloneNowhere(t *testing.T) {
	ca, err := pki.NewCA("x", time.Now())
	must(t, err)
	for name, f := range map[string]string{"without a receipt": newFolder(t).dir, "beside a certificate": newEnrolledFolder(t).dir} {
		must(t, os.WriteFile(filepath.Join(f, artifact.ReceiptCAFile), ca.CertificatePEM(), 0o600))
		if r := check(t, f, verify.Anchor{}); codes(r) != "certificate receipt-ca.pem" {
			t.Errorf("%s: %s", name, codes(r))
		}
	}
}
