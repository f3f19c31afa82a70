package enroll

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// maxOlder is how many uses of one token [Older] returns: a number that somebody wrote by hand
// must not fill the ledger.
const maxOlder = 10000

// OlderUse is a use of a token of which an earlier version recorded nothing: a PC asked again
// with another token.
type OlderUse struct {
	Request string // whose token it is now; empty: the rows don't tell whose it was
	Token   string
}

// Older returns the uses of an organisation's tokens of which no entry speaks.
func Older(ctx context.Context, q sqldb.Queryer, organisationID string) ([]OlderUse, error) {
	tokens, requests := ledger.States{}, ledger.States{}
	if err := ledger.Walk(ctx, q, organisationID, []string{ActMint, ActRequest, ActAskAgain}, func(e ledger.Recorded) {
		replayTokens(tokens, e)
		replayRequests(requests, e)
	}); err != nil {
		return nil, fmt.Errorf("list older uses of tokens: %w", err)
	}
	asked, err := ledger.ReadStates(ctx, q, `SELECT organisation_id, id, token_id FROM enroll_request`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list older uses of tokens: %w", err)
	}
	used, err := ledger.ReadStates(ctx, q, `SELECT organisation_id, id, uses FROM enroll_token`, organisationID)
	if err != nil {
		return nil, fmt.Errorf("list older uses of tokens: %w", err)
	}
	var list []OlderUse
	told := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(asked)) {
		if token := asked[id]["token_id"]; requests[id] != nil && requests[id]["token_id"] != token {
			list = append(list, OlderUse{id, token})
			told[token]++
		}
	}
	for _, id := range slices.Sorted(maps.Keys(used)) {
		if tokens[id] == nil {
			continue // the audit names it
		}
		now, _ := strconv.Atoi(used[id]["uses"])
		was, _ := strconv.Atoi(tokens[id]["uses"]) // what is no number counts nothing
		for range min(now-was-told[id], maxOlder) {
			list = append(list, OlderUse{"", id})
		}
	}
	return list, nil
}
