package enroll

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries: the subject is the token, the request, or the endpoint.
const (
	ActMint     = "enroll.mint_token"
	ActEnd      = "enroll.revoke_token"
	ActRequest  = "enroll.request"
	ActAskAgain = "enroll.ask_again" // with another token
	ActReject   = "enroll.reject"
	ActApprove  = "enroll.approve"
	ActRenew    = "enroll.renew"
	actRevoke   = "endpoint.revoke" // revokes its certificates too
)

// Details are what the entry of [ActRequest] says.
func (r Request) Details() map[string]string {
	d := map[string]string{"token": r.TokenID, "code": r.Code, "hostname": r.Hostname, "os": r.OS, "arch": r.Arch, "platform": r.Platform,
		"agent_version": r.AgentVersion, "remote_addr": r.RemoteAddr, "key_sha256": r.KeySHA256}
	if r.OS == "" {
		d[emptied] = "os"
	}
	return d
}

// emptied is the detail that tells an entry of [ActRequest] whose PC says no system from one of
// earlier versions.
const emptied = "emptied"

// Details are what the entry of [ActMint] says. Of the secret it has the SHA-256 of its hash,
// from which nobody can make a token.
func (t Token) Details(secretSHA256 string) map[string]string {
	return map[string]string{"auto": strconv.FormatBool(t.Auto), "expires_at": sqldb.FormatTime(t.ExpiresAt), "max_uses": strconv.Itoa(t.MaxUses),
		"note": t.Note, "hash_sha256": hexSum([]byte(secretSHA256))}
}

// Details are what the entries of [ActApprove] and [ActRenew] say of the certificate.
func (c Certificate) Details() map[string]string {
	return map[string]string{"serial": c.Serial, "key_sha256": c.KeySHA256, "certificate_sha256": hexSum(c.DER)}
}

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// Audit holds every token, request and certificate against the ledger, and the ledger against
// them, by organisation. q is one unchanging view. The error is only about not being able to
// look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	found := map[string][]ledger.Difference{}
	add := func(more map[string][]ledger.Difference, err error) error {
		for org, list := range more {
			found[org] = append(found[org], list...)
		}
		return err
	}
	if err := cmp.Or(
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, id, auto, note, created_by, created_at, expires_at, max_uses, uses, revoked_at, secret_sha256 FROM enroll_token`,
			[]string{ActMint, ActEnd, ActRequest, ActAskAgain}, replayTokens, deriveToken)),
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, id, token_id, key_sha256, public_key, code, hostname, os, arch, platform, agent_version, remote_addr,
			requested_at, status, decided_at, decided_by, reason, endpoint_id FROM enroll_request`,
			[]string{ActRequest, ActAskAgain, ActReject, ActApprove}, replayRequests, deriveRequest)),
		add(ledger.AuditStates(ctx, q, `SELECT organisation_id, serial, endpoint_id, key_sha256, der, not_before, not_after, issued_at, revoked_at FROM enroll_certificate`,
			[]string{ActApprove, ActRenew, actRevoke}, replayCertificates, deriveCertificate)),
	); err != nil {
		return nil, fmt.Errorf("audit enrolment: %w", err)
	}
	return found, nil
}

func replayTokens(s ledger.States, e ledger.Recorded) {
	with := e.Details
	switch e.Act {
	case ActMint:
		s.Set(e.Subject, "auto", flag(with["auto"] == "true"), "note", with["note"], "created_by", e.ActorID, "created_at", sqldb.FormatTime(e.Told),
			"expires_at", with["expires_at"], "max_uses", with["max_uses"], "uses", "0", "revoked_at", "")
		if with["hash_sha256"] != "" { // entries of earlier versions lack it
			s.Set(e.Subject, "hash_sha256", with["hash_sha256"])
		}
	case ActEnd:
		s.Change(e.Subject, "revoked_at", sqldb.FormatTime(e.Told))
	case ActRequest, ActAskAgain:
		if used, ok := s[with["token"]]; ok {
			n, _ := strconv.Atoi(used["uses"]) // it is a number, made by this function
			used["uses"] = strconv.Itoa(n + 1)
		}
	}
}

func deriveToken(_ string, columns map[string]string) {
	columns["hash_sha256"] = hexSum([]byte(columns["secret_sha256"]))
}

func replayRequests(s ledger.States, e ledger.Recorded) {
	with := e.Details
	switch e.Act {
	case ActRequest:
		s.Set(e.Subject, "token_id", with["token"], "code", with["code"], "hostname", with["hostname"], "remote_addr", with["remote_addr"], "key_sha256", with["key_sha256"],
			"public_key_sha256", with["key_sha256"], "requested_at", sqldb.FormatTime(e.Told), "status", string(Pending), "decided_at", "", "decided_by", "", "reason", "", "endpoint_id", "")
		if with["os"] != "" || with[emptied] != "" { // entries of earlier versions lack these
			s.Set(e.Subject, "os", with["os"], "arch", with["arch"], "platform", with["platform"], "agent_version", with["agent_version"])
		}
	case ActAskAgain:
		s.Change(e.Subject, "token_id", with["token"])
	case ActReject:
		s.Change(e.Subject, "status", string(Rejected), "decided_at", sqldb.FormatTime(e.Told), "decided_by", e.ActorID, "reason", with["reason"])
	case ActApprove:
		s.Change(with["request"], "status", string(Approved), "decided_at", sqldb.FormatTime(e.Told), "decided_by", e.ActorID, "endpoint_id", e.Subject)
	}
}

func deriveRequest(_ string, columns map[string]string) {
	key, err := base64.StdEncoding.DecodeString(columns["public_key"])
	if err == nil && base64.StdEncoding.EncodeToString(key) == columns["public_key"] {
		columns["public_key_sha256"] = hexSum(key)
	}
}

func replayCertificates(s ledger.States, e ledger.Recorded) {
	with := e.Details
	if e.Act == actRevoke {
		for _, c := range s {
			if c["endpoint_id"] == e.Subject && c["revoked_at"] == "" {
				c["revoked_at"] = sqldb.FormatTime(e.Told)
			}
		}
		return
	}
	s.Set(with["serial"], "endpoint_id", e.Subject, "issued_at", sqldb.FormatTime(e.Told), "revoked_at", "")
	if with["key_sha256"] != "" { // some entries of earlier versions lack these
		s.Set(with["serial"], "key_sha256", with["key_sha256"])
	}
	if with["certificate_sha256"] != "" {
		s.Set(with["serial"], "certificate_sha256", with["certificate_sha256"])
	}
}

// deriveCertificate holds what the row says of the certificate against the certificate.
func deriveCertificate(_ string, columns map[string]string) {
	der, err := base64.StdEncoding.DecodeString(columns["der"])
	if err != nil || base64.StdEncoding.EncodeToString(der) != columns["der"] {
		return
	}
	c, err := x509.ParseCertificate(der)
	if err != nil || sqldb.FormatTime(c.NotBefore) != columns["not_before"] || sqldb.FormatTime(c.NotAfter) != columns["not_after"] {
		return
	}
	columns["certificate_sha256"] = hexSum(der)
}

func flag(set bool) string { return strconv.FormatInt(sqldb.FormatBool(set), 10) }
