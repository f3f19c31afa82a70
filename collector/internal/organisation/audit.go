package organisation

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the organisation.
const (
	ActFound       = "organisation.found"
	ActIsolation   = "organisation.isolation"
	ActPeople      = "organisation.people"
	ActTriage      = "organisation.triage"
	ActRecoveryKey = "organisation.recovery_key"
	// ActSealOlder is made once, at the first start of a version whose entries speak of rows of
	// which those of earlier versions did not; entries about these rows follow it.
	ActSealOlder = "organisation.seal_older"
)

// SettingsSHA256 is the detail of [ActIsolation] that stands for all that is stored; entries of
// earlier versions lack it.
const SettingsSHA256 = "settings_sha256"

// Audit holds organisations and their settings against the ledger, by organisation. q is one
// unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "organisation_profile", []string{"id", "name", "created_at", "isolation", "recovery_key", "people", "triage"}, func(r map[string]string) (string, string) {
		r["isolation"] = ledger.Short("isolation", r["isolation"])
		var p People
		if r["people"] != "" && json.Unmarshal([]byte(r["people"]), &p) == nil {
			r["people"] = strings.Join(p.FactorRoles, " ") + "|" + p.ConsoleURL
		}
		t := DefaultTriage()
		if r["triage"] != "" && json.Unmarshal([]byte(r["triage"]), &t) == nil {
			r["triage"] = strconv.FormatBool(t.Private) + "|" + strconv.FormatBool(t.Histories)
		}
		return r["id"], r["id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActFound, ActIsolation, ActPeople, ActTriage, ActRecoveryKey}, rows, told); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit organisations: %w", err)
}

func told(e ledger.Recorded) []ledger.Told {
	t := ledger.Told{Key: e.Subject, Is: map[string]string{}}
	switch e.Act {
	case ActFound:
		t.Made = true
		t.Is = map[string]string{"name": e.Details["name"], "created_at": sqldb.FormatTime(e.Told), "isolation": "", "recovery_key": e.Details["recovery_key"], "people": "", "triage": ""}
	case ActIsolation:
		t.Later(e, "isolation", SettingsSHA256)
	case ActPeople:
		t.Is["people"] = e.Details["factor_roles"] + "|" + e.Details["console_url"]
	case ActTriage:
		t.Is["triage"] = e.Details["private"] + "|" + e.Details["histories"]
	case ActRecoveryKey:
		t.Is["recovery_key"] = e.Details["to"]
	}
	return []ledger.Told{t}
}
