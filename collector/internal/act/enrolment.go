package act

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
	"hozen/internal/pki"
)

// MintToken makes an enrolment token. Its text can't be had again.
func (s *Acts) MintToken(ctx context.Context, a Actor, n NewToken) (MintedToken, error) {
	if n.TTL == 0 {
		n.TTL = enroll.DefaultTTL
	}
	if n.MaxUses == 0 {
		n.MaxUses = 1
	}
	if n.TTL < enroll.MinTTL || n.TTL > enroll.MaxTTL {
		return MintedToken{}, &Invalid{Field: "ttl", Code: "range", Err: fmt.Errorf("want %s to %s", enroll.MinTTL, enroll.MaxTTL)}
	}
	if n.MaxUses < 1 || n.MaxUses > enroll.MaxUses {
		return MintedToken{}, &Invalid{Field: "max_uses", Code: "range", Err: fmt.Errorf("want 1 to %d", enroll.MaxUses)}
	}
	if err := text("note", n.Note, enroll.MaxNote, false); err != nil {
		return MintedToken{}, err
	}
	secret, err := pki.NewSecret()
	if err != nil {
		return MintedToken{}, err
	}
	words, err := pki.Token{Addresses: s.addresses, CASHA256: s.ca.Fingerprint(), Secret: secret}.Format()
	if err != nil {
		return MintedToken{}, fmt.Errorf("spell token: %w", err)
	}
	var t enroll.Token
	err = s.write(ctx, a, mayEnrol, func(ctx context.Context, d *deed) error {
		t = enroll.Token{ID: id.New(id.Token), OrganisationID: d.actor.OrganisationID, Auto: n.Auto, Note: n.Note, CreatedBy: d.actor.ID,
			CreatedAt: d.now, ExpiresAt: d.now.Add(n.TTL), MaxUses: n.MaxUses}
		hash := enroll.HashSecret(secret)
		if err := enroll.InsertToken(ctx, d.tx, t, hash); err != nil {
			return err
		}
		_, err := d.record(ctx, enroll.ActMint, t.ID, t.Details(hash))
		return err
	})
	if err != nil {
		return MintedToken{}, err
	}
	return MintedToken{Token: t, Text: words}, nil
}

// Tokens lists tokens, newest first, spent ones too.
func (s *Acts) Tokens(ctx context.Context, a Actor) ([]enroll.Token, error) {
	return read(ctx, s, a, mayEnrol, func(q sqldb.Queryer, a Actor) ([]enroll.Token, error) {
		return enroll.Tokens(ctx, q, a.OrganisationID)
	})
}

// RevokeToken ends a token. Endpoints that it brought in stay; requests that wait
// under it get no certificate any more unless an operator approves them.
func (s *Acts) RevokeToken(ctx context.Context, a Actor, tokenID string) error {
	return s.write(ctx, a, mayEnrol, func(ctx context.Context, d *deed) error {
		t, err := enroll.TokenByID(ctx, d.tx, tokenID)
		if err == nil {
			err = d.actor.own(t.OrganisationID)
		}
		if err != nil || !t.RevokedAt.IsZero() {
			return err
		}
		if err := enroll.RevokeToken(ctx, d.tx, tokenID, d.now); err != nil {
			return err
		}
		_, err = d.record(ctx, enroll.ActEnd, tokenID, nil)
		return err
	})
}

// EnrollmentRequests lists the PCs that wait for an operator, oldest first.
func (s *Acts) EnrollmentRequests(ctx context.Context, a Actor) ([]enroll.Request, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) ([]enroll.Request, error) {
		return enroll.Waiting(ctx, q, a.OrganisationID)
	})
}

// ApproveEnrollment makes a waiting PC an endpoint. requestID may also be its short code.
func (s *Acts) ApproveEnrollment(ctx context.Context, a Actor, requestID string) error {
	return s.write(ctx, a, mayEnrol, func(ctx context.Context, d *deed) error {
		r, err := d.waiting(ctx, requestID)
		if err != nil {
			return err
		}
		_, err = s.approve(ctx, d, r)
		return err
	})
}

// RejectEnrollment turns a waiting PC away for ever: its key can't ask again.
func (s *Acts) RejectEnrollment(ctx context.Context, a Actor, requestID, reason string) error {
	if err := text("reason", reason, 1024, false); err != nil {
		return err
	}
	return s.write(ctx, a, mayEnrol, func(ctx context.Context, d *deed) error {
		r, err := d.waiting(ctx, requestID)
		if err != nil {
			return err
		}
		if err := enroll.Decide(ctx, d.tx, r.ID, enroll.Rejected, d.actor.ID, reason, "", d.now); err != nil {
			return err
		}
		d.tell(s, Event{Kind: EventEndpoint})
		_, err = d.record(ctx, enroll.ActReject, r.ID, map[string]string{"hostname": r.Hostname, "code": r.Code, "reason": reason})
		return err
	})
}

// waiting finds a waiting request of the actor's organisation by identifier or code.
func (d *deed) waiting(ctx context.Context, requestID string) (enroll.Request, error) {
	all, err := enroll.Waiting(ctx, d.tx, d.actor.OrganisationID)
	if err != nil {
		return enroll.Request{}, err
	}
	for _, r := range all {
		if r.ID == requestID || r.Code == requestID {
			return r, nil
		}
	}
	r, err := enroll.RequestByID(ctx, d.tx, requestID)
	if err == nil {
		err = d.actor.own(r.OrganisationID)
	}
	if err != nil {
		return enroll.Request{}, err
	}
	return enroll.Request{}, fmt.Errorf("%w: the request was %s before", ErrConflict, r.Status)
}

// approve makes the endpoint and its first certificate.
func (s *Acts) approve(ctx context.Context, d *deed, r enroll.Request) (enroll.Certificate, error) {
	e := endpoint.Endpoint{ID: id.New(id.Endpoint), OrganisationID: r.OrganisationID, Hostname: r.Hostname, OS: r.OS, Arch: r.Arch,
		Platform: r.Platform, AgentVersion: r.AgentVersion, EnrolledAt: d.now}
	if err := endpoint.Insert(ctx, d.tx, e, r.RemoteAddr); err != nil {
		return enroll.Certificate{}, err
	}
	if err := enroll.Decide(ctx, d.tx, r.ID, enroll.Approved, d.actor.ID, "", e.ID, d.now); err != nil {
		return enroll.Certificate{}, err
	}
	c, err := s.issue(ctx, d, e, r.KeySHA256, r.PublicKey)
	if err != nil {
		return enroll.Certificate{}, err
	}
	d.tell(s, Event{Kind: EventEndpoint, EndpointID: e.ID})
	facts := e.Details()
	maps.Copy(facts, c.Details())
	maps.Copy(facts, map[string]string{"request": r.ID, "token": r.TokenID, "code": r.Code, "remote_addr": r.RemoteAddr})
	_, err = d.record(ctx, endpoint.ActApprove, e.ID, facts)
	return c, err
}

// issue makes a certificate for an endpoint and records it.
func (s *Acts) issue(ctx context.Context, d *deed, e endpoint.Endpoint, keySHA256 string, publicKey []byte) (enroll.Certificate, error) {
	pub, err := x509.ParsePKIXPublicKey(publicKey)
	if err != nil {
		return enroll.Certificate{}, fmt.Errorf("read public key: %w", err)
	}
	der, serial, err := s.ca.IssueAgent(e.ID, pub, d.now)
	if err != nil {
		return enroll.Certificate{}, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return enroll.Certificate{}, fmt.Errorf("read own certificate: %w", err)
	}
	c := enroll.Certificate{Serial: serial, OrganisationID: e.OrganisationID, EndpointID: e.ID, KeySHA256: keySHA256, DER: der,
		NotBefore: cert.NotBefore, NotAfter: cert.NotAfter, IssuedAt: d.now}
	return c, enroll.InsertCertificate(ctx, d.tx, c)
}

// Enroll is asked by a PC with a token. The same key asks as often as it likes and
// gets the same answer: one request, one endpoint, one certificate. A token that is
// not known, not good any more, or a request that was rejected, is [ErrForbidden].
func (s *Acts) Enroll(ctx context.Context, c EnrollCall) (EnrollReply, error) {
	pub, err := pki.CheckCSR(c.CSR)
	if err != nil {
		return EnrollReply{}, &Invalid{Field: "csr", Code: "malformed", Err: err}
	}
	key, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return EnrollReply{}, fmt.Errorf("encode public key: %w", err)
	}
	secret := enroll.HashSecret(c.Secret)
	if _, err := enroll.TokenBySecret(ctx, s.db.Read(), secret); errors.Is(err, enroll.ErrNotFound) {
		return EnrollReply{}, fmt.Errorf("%w: the token is not known here", ErrForbidden) // without troubling the writer
	}
	var reply EnrollReply
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		t, err := enroll.TokenBySecret(ctx, d.tx, secret)
		if err != nil {
			return err
		}
		d.actor = Actor{Kind: BySystem, Name: c.Host.Hostname, OrganisationID: t.OrganisationID}
		r, err := s.requestOf(ctx, d, t, c, pki.Fingerprint(key), key)
		if err != nil {
			return err
		}
		if r.Status == enroll.Pending {
			if !t.Auto {
				reply = EnrollReply{PendingCode: r.Code}
				return nil
			}
			cert, err := s.approve(ctx, d, r)
			reply = EnrollReply{EndpointID: cert.EndpointID, Certificate: cert.DER, CA: s.ca.Certificate().Raw}
			return err
		}
		cert, err := s.approved(ctx, d, t, r)
		reply = EnrollReply{EndpointID: r.EndpointID, Certificate: cert.DER, CA: s.ca.Certificate().Raw}
		return err
	})
	if err != nil {
		return EnrollReply{}, err
	}
	return reply, nil
}

// requestOf finds the request of a key, or makes it at the cost of one use of the token.
func (s *Acts) requestOf(ctx context.Context, d *deed, t enroll.Token, c EnrollCall, keySHA256 string, key []byte) (enroll.Request, error) {
	usable := func() error {
		if why := t.Why(d.now); why != "" {
			return fmt.Errorf("%w: the token is %s", ErrForbidden, why)
		}
		return nil
	}
	r, err := enroll.RequestByKey(ctx, d.tx, keySHA256)
	switch {
	case errors.Is(err, enroll.ErrNotFound):
	case err != nil:
		return enroll.Request{}, err
	case r.OrganisationID != t.OrganisationID:
		return enroll.Request{}, fmt.Errorf("%w: the key belongs elsewhere", ErrForbidden)
	case r.Status == enroll.Rejected:
		return enroll.Request{}, fmt.Errorf("%w: an operator rejected this PC: %s", ErrForbidden, r.Reason)
	case r.Status == enroll.Approved:
		return r, nil
	case r.TokenID != t.ID:
		if err := usable(); err != nil {
			return enroll.Request{}, err
		}
		r.TokenID = t.ID
		if err := errors.Join(enroll.UseToken(ctx, d.tx, t.ID), enroll.Retoken(ctx, d.tx, r.ID, t.ID)); err != nil {
			return enroll.Request{}, err
		}
		_, err := d.record(ctx, enroll.ActAskAgain, r.ID, map[string]string{"token": t.ID, "hostname": r.Hostname})
		return r, err
	case !t.RevokedAt.IsZero():
		return enroll.Request{}, fmt.Errorf("%w: the token is revoked", ErrForbidden)
	default:
		return r, nil
	}
	if err := usable(); err != nil {
		return enroll.Request{}, err
	}
	r = enroll.Request{ID: id.New(id.Enrollment), OrganisationID: t.OrganisationID, TokenID: t.ID, Hostname: c.Host.Hostname, OS: c.Host.OS,
		Arch: c.Host.Arch, Platform: c.Host.Platform, AgentVersion: c.Host.AgentVersion, RemoteAddr: c.RemoteAddr, RequestedAt: d.now,
		KeySHA256: keySHA256, PublicKey: key, Status: enroll.Pending}
	for taken := true; taken; {
		r.Code = enroll.NewCode()
		if taken, err = enroll.CodeWaits(ctx, d.tx, t.OrganisationID, r.Code); err != nil {
			return enroll.Request{}, err
		}
	}
	if err := enroll.UseToken(ctx, d.tx, t.ID); err != nil {
		return enroll.Request{}, err
	}
	if err := enroll.InsertRequest(ctx, d.tx, r); err != nil {
		return enroll.Request{}, err
	}
	d.tell(s, Event{Kind: EventEndpoint})
	_, err = d.record(ctx, enroll.ActRequest, r.ID, r.Details())
	return r, err
}

// approved returns the certificate of an endpoint that asks again, and makes a new
// one only when the old has expired and the token is still good.
func (s *Acts) approved(ctx context.Context, d *deed, t enroll.Token, r enroll.Request) (enroll.Certificate, error) {
	e, err := d.agent(ctx, r.EndpointID)
	if err != nil {
		return enroll.Certificate{}, err
	}
	c, err := enroll.NewestCertificate(ctx, d.tx, r.KeySHA256)
	if err != nil {
		return enroll.Certificate{}, err
	}
	if !c.RevokedAt.IsZero() {
		return enroll.Certificate{}, fmt.Errorf("%w: the certificate was revoked", ErrForbidden)
	}
	if d.now.Before(c.NotAfter) {
		return c, nil
	}
	if why := t.Why(d.now); why != "" && t.ID != r.TokenID || why == "revoked" || why == "expired" {
		return enroll.Certificate{}, fmt.Errorf("%w: the certificate has expired and the token is %s", ErrForbidden, why)
	}
	if c, err = s.issue(ctx, d, e, r.KeySHA256, r.PublicKey); err != nil {
		return enroll.Certificate{}, err
	}
	_, err = d.record(ctx, enroll.ActRenew, e.ID, with(c.Details(), "token", t.ID))
	return c, err
}

// Renew gives an endpoint a new certificate for the one it shows, from a third of
// that one's life on, also after it has expired; [ErrConflict] before. Asking again
// for the same key, because the answer was lost, returns the same certificate.
func (s *Acts) Renew(ctx context.Context, endpointID, oldCertSerial string, csr []byte) ([]byte, error) {
	pub, err := pki.CheckCSR(csr)
	if err != nil {
		return nil, &Invalid{Field: "csr", Code: "malformed", Err: err}
	}
	key, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	keySHA256 := pki.Fingerprint(key)
	var der []byte
	err = s.transact(ctx, func(ctx context.Context, d *deed) error {
		if err := certificateStatus(ctx, d.tx, endpointID, oldCertSerial); err != nil {
			return err
		}
		e, err := d.agent(ctx, endpointID)
		if err != nil {
			return err
		}
		old, err := enroll.CertificateBySerial(ctx, d.tx, oldCertSerial)
		if err != nil {
			return err
		}
		last, err := enroll.NewestCertificate(ctx, d.tx, keySHA256)
		switch {
		case errors.Is(err, enroll.ErrNotFound):
		case err != nil:
			return err
		case last.EndpointID != endpointID:
			return fmt.Errorf("%w: the key is another endpoint's", ErrForbidden)
		case !last.RevokedAt.IsZero():
			return fmt.Errorf("%w: a certificate of this key was revoked", ErrForbidden)
		case last.Serial != old.Serial && !last.Renewable(d.now):
			der = last.DER
			return nil
		}
		if !old.Renewable(d.now) {
			return fmt.Errorf("%w: the certificate is renewed from %s on", ErrConflict,
				old.IssuedAt.Add(old.NotAfter.Sub(old.IssuedAt)/3).UTC().Format(time.RFC3339))
		}
		c, err := s.issue(ctx, d, e, keySHA256, key)
		if err != nil {
			return err
		}
		der = c.DER
		_, err = d.record(ctx, enroll.ActRenew, endpointID, with(c.Details(), "old_serial", old.Serial))
		return err
	})
	if err != nil {
		return nil, err
	}
	return der, nil
}

// CertificateStatus reports whether an endpoint may show that certificate: nil, or
// [ErrForbidden] when it was revoked or never issued to it. Expiry is the caller's to
// judge: an expired one may be renewed.
func (s *Acts) CertificateStatus(ctx context.Context, endpointID, serial string) error {
	return certificateStatus(ctx, s.db.Read(), endpointID, serial)
}

func certificateStatus(ctx context.Context, q sqldb.Queryer, endpointID, serial string) error {
	c, err := enroll.CertificateBySerial(ctx, q, serial)
	if errors.Is(err, enroll.ErrNotFound) || err == nil && c.EndpointID != endpointID {
		return fmt.Errorf("%w: the certificate was not issued here", ErrForbidden)
	}
	if err != nil {
		return err
	}
	if !c.RevokedAt.IsZero() {
		return fmt.Errorf("%w: the certificate was revoked", ErrForbidden)
	}
	return nil
}
