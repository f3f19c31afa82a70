package act_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/digest"
	"hozen/internal/envelope"
	"hozen/internal/envelope/unseal"
)

// An encrypted package opens to the very bytes of the clear one, for each recipient, and the
// ledger names both and to whom.
func TestPackageIsEncryptedToItsRecipients(t *testing.T) {
	x := newFixture(t, sqldbtest.Open(t))
	o := newOffice(t, x)
	o.keiri.send("flash", captured())
	r := o.order(act.NewExport{})
	a, err := unseal.New()
	ok(t, err)
	b, err := unseal.New()
	ok(t, err)
	to, err := act.ParseRecipients([]string{a.Recipient().String(), b.Recipient().String()})
	ok(t, err)
	var file bytes.Buffer
	r, err = o.WriteExportTo(t.Context(), o.owner, r.Number, to, &file)
	ok(t, err)
	for _, id := range []unseal.Identity{a, b} {
		clear, err := unseal.Open(bytes.NewReader(file.Bytes()), id)
		ok(t, err)
		got, err := io.ReadAll(clear)
		ok(t, err)
		if digest.Of(got).String() != r.SHA256 || !bytes.Equal(got, o.write(r)) {
			t.Errorf("%d bytes with %s, want %s", len(got), digest.Of(got), r.SHA256)
		}
	}
	entries, err := ledger.Entries(t.Context(), x.db.Read(), ledger.Filter{OrganisationID: r.OrganisationID, Subject: r.ID, Act: "export.encrypted"})
	ok(t, err)
	if len(entries) != 1 {
		t.Fatalf("%d entries", len(entries))
	}
	d := entries[0].Details
	if d["sha256"] != r.SHA256 || d["encrypted_sha256"] != digest.Of(file.Bytes()).String() || d["age_recipients"] != a.Recipient().String()+" "+b.Recipient().String() {
		t.Errorf("%v", d)
	}
	if _, err := o.WriteExportTo(t.Context(), o.owner, r.Number, to, &failing{500}); err == nil {
		t.Error("a full disk was not told")
	}
	if _, err := o.WriteExportTo(t.Context(), o.owner, "INC-2026-0001-P99", to, &file); !errors.Is(err, act.ErrNotFound) {
		t.Errorf("%v", err)
	}
	entries, err = ledger.Entries(t.Context(), x.db.Read(), ledger.Filter{OrganisationID: r.OrganisationID, Act: "export.encrypted"})
	ok(t, err)
	if len(entries) != 1 {
		t.Errorf("%d entries after failures", len(entries))
	}
}

func TestRecipientsOfPackages(t *testing.T) {
	id, err := unseal.New()
	ok(t, err)
	for bad, want := range map[string]error{id.Text(): envelope.ErrSecretKey, "": envelope.ErrMalformed, "ssh-ed25519 AAAA": envelope.ErrOtherKind} {
		_, err := act.ParseRecipients([]string{id.Recipient().String(), bad})
		if !errors.Is(err, want) || !errors.Is(err, act.ErrInvalid) || bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, err := act.ParseRecipients(make([]string, act.MaxRecipients+1)); !errors.Is(err, act.ErrInvalid) {
		t.Errorf("too many: %v", err)
	}
	if to, err := act.ParseRecipients(nil); err != nil || len(to) != 0 {
		t.Errorf("%v, %v", to, err)
	}
}
