package phone

import (
	"context"
	"fmt"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the link.
const (
	ActLink   = "phone.link"
	ActRevoke = "phone.revoke"
)

// TokenSHA256 and SealedSHA256 are details, each a [ledger.Short] of what the row has; entries
// of earlier versions lack them.
const (
	TokenSHA256  = "token_sha256"  // of the hash of the token
	SealedSHA256 = "sealed_sha256" // of the sealed token
)

// ShortToken is [TokenSHA256] of a token.
func ShortToken(token string) string { return shortToken(HashToken(token)) }

func shortToken(hash string) string { return ledger.Short("link", hash) }

// ShortSealed is [SealedSHA256] of a sealed token.
func ShortSealed(sealed string) string { return ledger.Short("sealed", sealed) }

// Audit holds links against the ledger, by organisation. q is one unchanging view. The error is
// only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "phone_link", []string{"organisation_id", "id", "kind", "incident_id", "note", "token_sha256", "token_sealed", "made_id", "made_by", "made_at", "expires_at", "revoked_at", "revoked_by"}, func(r map[string]string) (string, string) {
		r["token_sha256"], r["token_sealed"] = shortToken(r["token_sha256"]), ShortSealed(r["token_sealed"])
		return r["id"], r["id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActLink, ActRevoke}, rows, func(e ledger.Recorded) []ledger.Told {
			if e.Act == ActRevoke {
				return []ledger.Told{{Key: e.Subject, Is: map[string]string{"token_sealed": "", "revoked_at": sqldb.FormatTime(e.Told), "revoked_by": e.ActorName}}}
			}
			t := ledger.Told{Key: e.Subject, Made: true, Is: map[string]string{"id": e.Subject, "kind": e.Details["kind"], "incident_id": e.Details["incident"], "note": e.Details["note"],
				"made_id": e.ActorID, "made_by": e.ActorName, "made_at": sqldb.FormatTime(e.Told), "expires_at": e.Details["expires_at"], "revoked_at": "", "revoked_by": ""}}
			t.Later(e, "token_sha256", TokenSHA256)
			t.Later(e, "token_sealed", SealedSHA256)
			return []ledger.Told{t}
		}); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit links: %w", err)
}
