package act_test

import (
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// Who has the database and changes an endpoint, how it was let in, or what was seen of its
// isolation and its boots, is found out by the ledger.
func TestEndpointsAgainstTheLedger(t *testing.T) {
	ctx, x := t.Context(), newFixture(t, sqldbtest.Open(t))
	p, q := x.enrolled("pc"), x.enrolled("other")
	for _, boot := range []string{"b1", ""} { // which it no longer says
		ok(t, x.EndpointConnected(ctx, p.id, endpoint.Description{Hostname: "pc-1\xff\xfe", OS: "linux", Arch: "amd64", AgentVersion: "1", Capability: 3, BootID: boot}, "192.0.2.7"))
	}
	ok(t, x.LabelEndpoint(ctx, x.owner, p.id, "受付のPC"))
	ok(t, x.PlaceEndpoint(ctx, x.owner, p.id, act.Place{Site: "本社", Purpose: endpoint.PC, Tags: []string{"b", "a", "a"}}))
	x.clock = x.clock.Add(time.Minute)
	ok(t, x.RevokeEndpoint(ctx, x.owner, q.id, "廃棄"))
	m, err := x.MintToken(ctx, x.owner, act.NewToken{MaxUses: 3, Note: "n"})
	ok(t, err)
	other, err := x.MintToken(ctx, x.owner, act.NewToken{MaxUses: 3})
	ok(t, err)
	csr := newCSR(t)
	for _, token := range []act.MintedToken{m, other} { // which asks again with another one
		_, err = x.enroll(token, csr, "waiting")
		ok(t, err)
	}
	_, err = x.enroll(m, newCSR(t), "rejected")
	ok(t, err)
	waiting, err := x.EnrollmentRequests(ctx, x.owner)
	ok(t, err)
	ok(t, x.RejectEnrollment(ctx, x.owner, waiting[1].ID, "知らない\x00"))
	ok(t, x.RevokeToken(ctx, x.owner, m.Token.ID))
	ok(t, x.IsolationHappened(ctx, p.id, endpoint.IsolationEvent{ID: id.New(id.IsolationEvent), Kind: endpoint.EventDrift, At: x.clock, Differences: []string{"rule missing\xff\xff"},
		Seen: []string{"table deleted", "by nft"}, Count: 3}, nil))
	x.accept(p, "", artifact.KindBoot, `{"verdict":"power_loss","boot_id":"b1","gap":{"known":true,"at_least_ns":0,"at_most_ns":3200000000}}`+"\n")
	x.clock = x.clock.Add(300 * 24 * time.Hour)
	_, err = x.Renew(ctx, p.id, p.serial, newCSR(t))
	ok(t, err)
	x.ledgerStands()

	changes := map[string]wrong{
		"an endpoint taken away":             {"endpoint", "missing", `DELETE FROM endpoint_endpoint WHERE label = ''`},
		"an endpoint that nobody let in":     {"endpoint", "surplus", strings.ReplaceAll(`INSERT INTO endpoint_endpoint (id, !, capability, remote_addr, last_seen_at, clock_offset_ns, spooled, spooled_bytes, isolation_desired, isolation_observed, isolation_measured_at, isolation_received_at, isolation_way_home, isolation_rules_digest, isolation_dropped, isolation_detail, isolation_command_id, isolation_capable) SELECT 'end_x', !, 0, '', '', 0, 0, 0, '', '', '', '', 0, '', 0, '', '', 0 FROM endpoint_endpoint WHERE label = ''`, "!", "organisation_id, label, hostname, os, arch, platform, agent_version, boot_id, enrolled_at, revoked_at")},
		"an endpoint that is let in again":   {"endpoint", "edited", `UPDATE endpoint_endpoint SET revoked_at = '' WHERE revoked_at <> ''`},
		"an endpoint that is barred":         {"endpoint", "edited", `UPDATE endpoint_endpoint SET revoked_at = enrolled_at WHERE revoked_at = ''`},
		"an endpoint that can do more":       {"endpoint", "edited", `UPDATE endpoint_endpoint SET capability = capability + 4`},
		"an endpoint of somebody else":       {"endpoint", "missing", `UPDATE endpoint_endpoint SET organisation_id = 'org_x' WHERE label = ''`},
		"a tag taken away":                   {"endpoint", "edited", `DELETE FROM endpoint_tag WHERE tag = 'a'`},
		"a tag that nobody gave":             {"endpoint", "edited", `INSERT INTO endpoint_tag SELECT endpoint_id, organisation_id, 'c' FROM endpoint_tag WHERE tag = 'a'`},
		"a tag of nobody":                    {"endpoint", "surplus", `INSERT INTO endpoint_tag SELECT 'end_x', organisation_id, 'c' FROM endpoint_tag WHERE tag = 'a'`},
		"an event taken away":                {"endpoint", "missing", `DELETE FROM endpoint_isolation_event`},
		"an event that did not happen":       {"endpoint", "surplus", `INSERT INTO endpoint_isolation_event SELECT 'iev_x', organisation_id, endpoint_id, kind, at, received_at, command_id, told_by, detail, differences, seen, times FROM endpoint_isolation_event`},
		"an event seen otherwise":            {"endpoint", "edited", `UPDATE endpoint_isolation_event SET seen = '["by nft"]'`},
		"an event with lines exchanged":      {"endpoint", "edited", `UPDATE endpoint_isolation_event SET differences = seen, seen = differences`},
		"an event that happened more often":  {"endpoint", "edited", `UPDATE endpoint_isolation_event SET times = 4`},
		"a boot taken away":                  {"endpoint", "missing", `DELETE FROM endpoint_boot`},
		"a boot that ended well":             {"endpoint", "edited", `UPDATE endpoint_boot SET verdict = 'clean_with_capture'`},
		"a boot with a smaller gap":          {"endpoint", "edited", `UPDATE endpoint_boot SET gap_max_ns = 1`},
		"a token that is good again":         {"enroll", "edited", `UPDATE enroll_token SET revoked_at = '' WHERE revoked_at <> ''`},
		"a token with more uses":             {"enroll", "edited", `UPDATE enroll_token SET max_uses = 1000`},
		"a token that was not used":          {"enroll", "edited", `UPDATE enroll_token SET uses = 0 WHERE uses > 0`},
		"a token that lets in of itself":     {"enroll", "edited", `UPDATE enroll_token SET auto = 1 WHERE auto = 0`},
		"a token that is taken away":         {"enroll", "missing", `DELETE FROM enroll_token`},
		"a token that nobody made":           {"enroll", "surplus", `INSERT INTO enroll_token (id, organisation_id, secret_sha256, auto, note, created_by, created_at, expires_at, max_uses, uses, revoked_at) SELECT 'tok_x', organisation_id, 'x', auto, note, created_by, created_at, expires_at, max_uses, uses, revoked_at FROM enroll_token WHERE note = 'n'`},
		"a request that was not turned away": {"enroll", "edited", `UPDATE enroll_request SET status = 'pending' WHERE status = 'rejected'`},
		"a request that is taken away":       {"enroll", "missing", `DELETE FROM enroll_request WHERE status = 'pending'`},
		"a certificate that is good again":   {"enroll", "edited", `UPDATE enroll_certificate SET revoked_at = '' WHERE revoked_at <> ''`},
		"a certificate of another":           {"enroll", "edited", `UPDATE enroll_certificate SET der = (SELECT MIN(der) FROM enroll_certificate)`},
		"a certificate that is taken away":   {"enroll", "missing", `DELETE FROM enroll_certificate WHERE revoked_at <> ''`},
		"a certificate that nobody issued":   {"enroll", "surplus", `INSERT INTO enroll_certificate SELECT 'x', organisation_id, endpoint_id, key_sha256, der, not_before, not_after, issued_at, revoked_at FROM enroll_certificate WHERE revoked_at <> ''`},
	}
	another := func(of, table, columns string) {
		for _, column := range strings.Fields(columns) {
			changes["another "+column+" of "+table] = wrong{of, "edited", `UPDATE ` + table + ` SET ` + column + ` = ` + column + ` || 'x'`}
		}
	}
	another("endpoint", "endpoint_endpoint", "label hostname os arch platform agent_version boot_id enrolled_at site purpose origin")
	another("endpoint", "endpoint_isolation_event", "endpoint_id kind at received_at command_id told_by detail differences")
	another("endpoint", "endpoint_boot", "endpoint_id evidence_id boot_id previous_boot_id reason asked_by asked_type asked_who ended_after ended_before last_evidence_at basis received_at")
	another("enroll", "enroll_token", "secret_sha256 note created_by created_at expires_at")
	another("enroll", "enroll_request", "token_id key_sha256 public_key code hostname os arch platform agent_version remote_addr requested_at decided_at decided_by reason endpoint_id")
	another("enroll", "enroll_certificate", "endpoint_id key_sha256 der not_before not_after issued_at")
	x.named(t, changes)
}
