package act_test

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/internal/pki"
)

func TestEnrolWithApproval(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		m, err := x.MintToken(ctx, x.owner, act.NewToken{Note: "会議室"})
		if err != nil {
			t.Fatal(err)
		}
		tok, err := pki.ParseToken(m.Text)
		if err != nil || tok.CASHA256 != x.ca.Fingerprint() || len(tok.Addresses) != 1 {
			t.Fatalf("%+v, %v", tok, err)
		}
		csr := newCSR(t)
		ask := func() act.EnrollReply {
			t.Helper()
			r, err := x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: csr})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		first := ask()
		if !regexp.MustCompile(`^[2-9A-HJKMNP-TV-Z]{4}-[2-9A-HJKMNP-TV-Z]{4}$`).MatchString(first.PendingCode) || first.EndpointID != "" {
			t.Fatalf("%+v", first)
		}
		if again := ask(); again.PendingCode != first.PendingCode {
			t.Errorf("the code changed from %s to %s", first.PendingCode, again.PendingCode)
		}
		x.clock = x.clock.Add(48 * time.Hour) // the token expires while the operator is away
		waiting, err := x.EnrollmentRequests(ctx, x.owner)
		if err != nil || len(waiting) != 1 || waiting[0].Code != first.PendingCode {
			t.Fatalf("%+v, %v", waiting, err)
		}
		if err := x.ApproveEnrollment(ctx, x.owner, first.PendingCode); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.ApproveEnrollment(ctx, x.owner, waiting[0].ID), act.ErrConflict)
		got, again := ask(), ask()
		if got.EndpointID == "" || got.EndpointID != again.EndpointID || !bytes.Equal(got.Certificate, again.Certificate) {
			t.Errorf("asking again made something else: %s, %s", got.EndpointID, again.EndpointID)
		}
		list, err := x.Endpoints(ctx, x.owner)
		if err != nil || len(list) != 1 {
			t.Errorf("%d endpoints, %v", len(list), err)
		}
		_, err = x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: newCSR(t)})
		wantErr(t, err, act.ErrForbidden) // used up and expired
		_, err = x.Enroll(ctx, act.EnrollCall{Secret: "unknown-secret-0000", CSR: csr})
		wantErr(t, err, act.ErrForbidden)
		_, err = x.Enroll(ctx, act.EnrollCall{Secret: tok.Secret, CSR: csr[:40]})
		wantInvalid(t, err, "csr", "malformed")
		x.ledgerStands()
	})
}

func TestRejectedAndRevokedTokens(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		m, err := x.MintToken(ctx, x.owner, act.NewToken{MaxUses: 2})
		if err != nil {
			t.Fatal(err)
		}
		one, two := newCSR(t), newCSR(t)
		for _, csr := range [][]byte{one, two} {
			if p, err := x.enroll(m, csr, "pc"); err != nil || p.id != "" {
				t.Fatal(p.id, err)
			}
		}
		waiting, err := x.EnrollmentRequests(ctx, x.owner)
		if err != nil || len(waiting) != 2 {
			t.Fatalf("%d waiting, %v", len(waiting), err)
		}
		if err := x.RejectEnrollment(ctx, x.owner, waiting[0].ID, "not ours"); err != nil {
			t.Fatal(err)
		}
		_, err = x.enroll(m, one, "pc")
		wantErr(t, err, act.ErrForbidden)
		if err := x.RevokeToken(ctx, x.owner, m.Token.ID); err != nil {
			t.Fatal(err)
		}
		_, err = x.enroll(m, two, "pc")
		wantErr(t, err, act.ErrForbidden)

		auto, err := x.MintToken(ctx, x.owner, act.NewToken{Auto: true})
		if err != nil {
			t.Fatal(err)
		}
		if p, err := x.enroll(auto, two, "pc"); err != nil || p.id == "" {
			t.Errorf("a waiting PC that comes with a better token: %q, %v", p.id, err)
		}
		_, err = x.enroll(auto, one, "pc")
		wantErr(t, err, act.ErrForbidden) // a rejected key stays so
		_, err = x.MintToken(ctx, x.owner, act.NewToken{TTL: time.Second})
		wantInvalid(t, err, "ttl", "range")
		_, err = x.MintToken(ctx, x.owner, act.NewToken{MaxUses: -1})
		wantInvalid(t, err, "max_uses", "range")
	})
}

func TestRenewal(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p := x.enrolled("pc")
		other := x.enrolled("other")
		fresh := newCSR(t)
		_, err := x.Renew(ctx, p.id, p.serial, fresh)
		wantErr(t, err, act.ErrConflict) // too early
		x.clock = x.clock.Add(pki.AgentLife/3 + time.Minute)
		cert, err := x.Renew(ctx, p.id, p.serial, fresh)
		if err != nil {
			t.Fatal(err)
		}
		again, err := x.Renew(ctx, p.id, p.serial, fresh)
		if err != nil || !bytes.Equal(cert, again) {
			t.Errorf("a repeated renewal is another certificate (%v)", err)
		}
		_, err = x.Renew(ctx, other.id, p.serial, newCSR(t))
		wantErr(t, err, act.ErrForbidden) // another's certificate
		_, err = x.Renew(ctx, other.id, other.serial, fresh)
		wantErr(t, err, act.ErrForbidden) // another's key

		x.clock = x.clock.Add(2 * pki.AgentLife) // everything has expired
		if _, err := x.Renew(ctx, other.id, other.serial, other.csr); err != nil {
			t.Errorf("an expired, unrevoked certificate could not renew: %v", err)
		}
		if err := x.RevokeEndpoint(ctx, x.owner, other.id, "lost"); err != nil {
			t.Fatal(err)
		}
		_, err = x.Renew(ctx, other.id, other.serial, newCSR(t))
		wantErr(t, err, act.ErrForbidden)
	})
}

func TestRevocationCutsLiveStreams(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		p, other := x.enrolled("pc"), x.enrolled("other")
		_, revoked, cancel := x.hub.SubscribeEndpoint(p.id)
		defer cancel()
		_, spared, cancelOther := x.hub.SubscribeEndpoint(other.id)
		defer cancelOther()
		if err := x.CertificateStatus(ctx, p.id, p.serial); err != nil {
			t.Fatal(err)
		}
		wantErr(t, x.CertificateStatus(ctx, other.id, p.serial), act.ErrForbidden)
		wantErr(t, x.CertificateStatus(ctx, p.id, "00"), act.ErrForbidden)
		cmd, err := x.Acquire(ctx, x.owner, p.id, act.Order{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.RevokeEndpoint(ctx, x.owner, p.id, "stolen"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-revoked:
		default:
			t.Error("the live stream was not cut")
		}
		select {
		case <-spared:
			t.Error("another endpoint's stream was cut")
		default:
		}
		wantErr(t, x.CertificateStatus(ctx, p.id, p.serial), act.ErrForbidden)
		wantErr(t, x.EndpointConnected(ctx, p.id, described(), ""), act.ErrForbidden)
		wantErr(t, x.CommandAcked(ctx, p.id, cmd.ID), act.ErrForbidden)
		_, err = x.Acquire(ctx, x.owner, p.id, act.Order{})
		wantErr(t, err, act.ErrConflict)
		if c, err := x.Command(ctx, x.owner, cmd.ID); err != nil || c.Status != "expired" {
			t.Errorf("%s, %v", c.Status, err)
		}
		m, err := x.MintToken(ctx, x.owner, act.NewToken{Auto: true})
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.enroll(m, p.csr, "pc")
		wantErr(t, err, act.ErrForbidden) // the revoked key can't come back
	})
}
