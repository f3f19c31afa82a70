package operator

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the person, or the token.
const (
	ActAdd         = "operator.add"
	ActPassword    = "operator.change_password"
	ActReset       = "operator.reset_password"
	ActRole        = "operator.role"
	ActDisable     = "operator.disable"
	ActAddress     = "operator.address"
	ActFactorBegin = "operator.factor_begin"
	ActFactorOn    = "operator.factor_on"
	ActFactorOff   = "operator.factor_off"
	ActFactorReset = "operator.factor_reset"
	ActCodesNew    = "operator.recovery_new"
	ActCodeUsed    = "operator.recovery_used"
	ActEndSessions = "operator.end_sessions"
	ActGrant       = "operator.grant"
	ActEndGrant    = "operator.end_grant"
	ActMakeToken   = "operator.make_token"
	ActEndToken    = "operator.end_token"
)

// The details that stand for what must not be in the ledger, each a [ledger.Short] of what the
// row has. Entries of earlier versions lack them.
const (
	PasswordSHA256 = "password_sha256" // of the hash of the password, which is salted
	FactorSHA256   = "factor_sha256"   // of the sealed key of the second factor
	CodesSHA256    = "recovery_sha256" // of the hashes of the recovery codes
	AddressSHA256  = "address_sha256"
	SecretSHA256   = "secret_sha256" // of the hash of a token's secret
	RolesWere      = "roles_before"
	TokensEnded    = "tokens" // "true" or "false"
)

// ShortPassword, ShortFactor, ShortCodes, ShortAddress and ShortSecret are those details.
func ShortPassword(hash string) string { return ledger.Short("password", hash) }

// ShortFactor is of the sealed key of a second factor.
func ShortFactor(sealed string) string { return ledger.Short("factor", sealed) }

// ShortCodes is of the hashes of recovery codes, in the order of their numbers.
func ShortCodes(hashes []string) string { return ledger.Short("recovery", strings.Join(hashes, "\n")) }

// ShortAddress is of a person's mail address.
func ShortAddress(operatorID, address string) string {
	return ledger.Short("address "+operatorID, address)
}

// ShortSecret is of the secret of a token, by its hash.
func ShortSecret(secret string) string { return shortSecret(hashToken(secret)) }

func shortSecret(hash string) string { return ledger.Short("token", hash) }

// AuditPeople holds people, their second factors and their recovery codes against the ledger,
// by organisation. q is one unchanging view. The error is only about not being able to look.
func AuditPeople(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := people(ctx, q)
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActAdd, ActPassword, ActReset, ActRole, ActDisable, ActAddress,
			ActFactorBegin, ActFactorOn, ActFactorOff, ActFactorReset, ActCodesNew, ActCodeUsed}, rows, toldOfPeople); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit people: %w", err)
}

// people reads people with their recovery codes.
func people(ctx context.Context, q sqldb.Queryer) (map[string]ledger.Row, error) {
	all, err := ledger.ReadRows(ctx, q, "operator_operator", []string{"organisation_id", "id", "name", "display_name", "role", "password_hash", "must_change_password", "disabled_at",
		"created_at", "address", "factor_secret", "factor_since", "password_by", "password_at", "factor_by", "factor_at", "role_at", "roles_before"}, func(r map[string]string) (string, string) {
		r["password_hash"], r["factor_secret"], r["address"] = ShortPassword(r["password_hash"]), ShortFactor(r["factor_secret"]), ShortAddress(r["id"], r["address"])
		id := r["id"]
		delete(r, "id")
		return id, id
	})
	if err != nil {
		return nil, err
	}
	codes, err := ledger.ReadRows(ctx, q, "operator_recovery", []string{"organisation_id", "operator_id", "code_no", "hash", "used_at"}, func(r map[string]string) (string, string) {
		return r["operator_id"] + " " + r["code_no"], r["operator_id"]
	})
	if err != nil {
		return nil, err
	}
	hashes := map[string][]string{}
	for _, key := range slices.SortedFunc(maps.Keys(codes), func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }) {
		c := codes[key]
		id := c.Says["operator_id"]
		r, ok := all[id]
		if !ok || r.OrganisationID != c.OrganisationID {
			all[key] = ledger.Row{OrganisationID: c.OrganisationID, Subject: id} // of nobody
			continue
		}
		hashes[id] = append(hashes[id], c.Says["hash"])
		r.Says[codeUsed(c.Says["code_no"])] = c.Says["used_at"]
	}
	for id, r := range all {
		if r.Says != nil {
			r.Says["recovery"] = ShortCodes(hashes[id])
		}
	}
	return all, nil
}

// codeUsed is the column, as it were, of when a recovery code was used.
func codeUsed(no string) string { return "recovery_used_" + no }

func toldOfPeople(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	t := ledger.Told{Key: e.Subject, Is: map[string]string{}}
	handed := func() {
		by := ""
		if e.ActorKind == "operator" {
			by = e.ActorID
		}
		if e.Details[PasswordSHA256] == "" { // so is the row of an earlier version: it does not say
			t.Some = append(t.Some, "password_by", "password_at")
			return
		}
		t.Is["password_by"], t.Is["password_at"] = by, at
	}
	noCodes := func() {
		for no := range RecoveryCodes {
			t.Is[codeUsed(fmt.Sprint(no))] = ""
		}
	}
	switch e.Act {
	case ActAdd:
		t.Made = true
		for _, column := range []string{"disabled_at", "address", "factor_secret", "factor_since", "factor_by", "factor_at", "role_at", "roles_before", "recovery"} {
			t.Is[column] = ""
		}
		t.Is["name"], t.Is["display_name"], t.Is["role"], t.Is["created_at"], t.Is["must_change_password"] = e.Details["name"], e.Details["display_name"], e.Details["role"], at, "1"
		noCodes()
		handed()
		t.Later(e, "password_hash", PasswordSHA256)
	case ActReset:
		t.Is["must_change_password"] = "1"
		handed()
		t.Later(e, "password_hash", PasswordSHA256)
	case ActPassword:
		t.Is["must_change_password"] = "0"
		t.Later(e, "password_hash", PasswordSHA256)
	case ActRole:
		t.Is["role"], t.Is["role_at"] = e.Details["role"], at
		t.Later(e, "roles_before", RolesWere)
	case ActDisable:
		t.Is["disabled_at"] = at
	case ActAddress:
		if e.Details["set"] == "false" {
			t.Is["address"] = ""
		} else {
			t.Later(e, "address", AddressSHA256)
		}
	case ActFactorBegin:
		t.Is["factor_since"] = ""
		t.Later(e, "factor_secret", FactorSHA256)
	case ActFactorOn:
		t.Is["factor_since"] = at
		noCodes()
		t.Later(e, "recovery", CodesSHA256)
	case ActCodesNew:
		noCodes()
		t.Later(e, "recovery", CodesSHA256)
	case ActCodeUsed:
		t.Is[codeUsed(e.Details["code"])] = at
	case ActFactorReset, ActFactorOff:
		t.Is["factor_secret"], t.Is["factor_since"], t.Is["recovery"] = "", "", ""
		noCodes()
		if e.Act == ActFactorReset {
			t.Is["factor_by"], t.Is["factor_at"] = "", at
			if e.ActorKind == "operator" {
				t.Is["factor_by"] = e.ActorID
			}
		}
	}
	return []ledger.Told{t}
}

// AuditGrants holds what people from outside may see against the ledger, by organisation. q is
// one unchanging view. The error is only about not being able to look.
func AuditGrants(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "operator_grant", []string{"organisation_id", "operator_id", "incident_id", "until", "granted_by", "granted_at"}, func(r map[string]string) (string, string) {
		return r["operator_id"] + " " + r["incident_id"], r["operator_id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActGrant, ActEndGrant}, rows, func(e ledger.Recorded) []ledger.Told {
			incident := e.Details["incident"]
			return []ledger.Told{{Key: e.Subject + " " + incident, Made: e.Act == ActGrant, Gone: e.Act == ActEndGrant,
				Is: map[string]string{"operator_id": e.Subject, "incident_id": incident, "until": e.Details["until"], "granted_by": e.ActorID, "granted_at": sqldb.FormatTime(e.Told)}}}
		}); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit grants: %w", err)
}

// AuditTokens holds the tokens of programs against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func AuditTokens(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "operator_token", []string{"organisation_id", "id", "operator_id", "name", "role", "scopes", "secret_sha256", "created_at", "expires_at", "ended_at"}, func(r map[string]string) (string, string) {
		r["secret_sha256"] = shortSecret(r["secret_sha256"])
		return r["id"], r["id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit tokens: %w", err)
	}
	of, err := ledger.ByOrganisation(ctx, q, rows, func(r ledger.Row) string { return r.OrganisationID })
	found := map[string][]ledger.Difference{}
	for org, rows := range of {
		if err == nil {
			found[org], err = auditTokens(ctx, q, org, rows)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit tokens: %w", err)
	}
	return found, nil
}

// tokenEnd is an entry that ended tokens of a person, or one token.
type tokenEnd struct {
	idx   int64
	token string // empty: all of the person
	at    string
	maybe bool // the entry, of an earlier version, does not say whether it did
}

func auditTokens(ctx context.Context, q sqldb.Queryer, org string, rows map[string]ledger.Row) ([]ledger.Difference, error) {
	ends := map[string][]tokenEnd{}
	if err := ledger.Walk(ctx, q, org, []string{ActEndToken, ActPassword, ActReset, ActRole, ActDisable, ActFactorOn, ActFactorOff, ActFactorReset, ActEndSessions}, func(e ledger.Recorded) {
		end := tokenEnd{idx: e.Index, at: sqldb.FormatTime(e.Told)}
		person := e.Subject
		switch e.Act {
		case ActEndToken:
			end.token, person = e.Subject, e.Details["operator"]
		case ActEndSessions:
			if _, all := e.Details["name"]; !all { // the own ones
				said := e.Details[TokensEnded]
				if said == "false" {
					return
				}
				end.maybe = said == ""
			}
		}
		ends[person] = append(ends[person], end)
	}); err != nil {
		return nil, err
	}
	// When a token ended is what the first entry after its making says that ends it.
	ended := func(e ledger.Recorded) string {
		row := rows[e.Subject].Says["ended_at"]
		for _, end := range ends[e.ActorID] {
			if end.idx > e.Index && (end.token == "" || end.token == e.Subject) && (!end.maybe || row == end.at) {
				return end.at
			}
		}
		return ""
	}
	return ledger.Standing(ctx, q, org, []string{ActMakeToken}, rows, func(e ledger.Recorded) []ledger.Told {
		t := ledger.Told{Key: e.Subject, Made: true, Is: map[string]string{"id": e.Subject, "operator_id": e.ActorID, "name": e.Details["name"], "scopes": e.Details["scopes"],
			"created_at": sqldb.FormatTime(e.Told), "expires_at": e.Details["expires_at"], "ended_at": ended(e)}}
		t.Later(e, "role", "role")
		t.Later(e, "secret_sha256", SecretSHA256)
		return []ledger.Told{t}
	})
}
