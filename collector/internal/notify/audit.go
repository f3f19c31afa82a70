package notify

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries; their subject is the channel, or the organisation.
const (
	ActChannel = "notify.channel"
	ActRemove  = "notify.channel_remove"
	ActWeekly  = "notify.weekly"
)

// The details that entries of earlier versions lack.
const (
	Language       = "language"
	SettingsSHA256 = "settings_sha256" // a [ledger.Short]: addresses of people are among them
	SecretSHA256   = "secret_sha256"   // a [ledger.Short] of the sealed secret
)

// Details are what the entry of a channel as it is saved says.
func (c Channel) Details() (map[string]string, error) {
	settings, err := json.Marshal(c.Settings)
	if err != nil {
		return nil, fmt.Errorf("encode channel: %w", err)
	}
	words := make([]string, 0, len(c.Kinds))
	for _, k := range c.Kinds {
		words = append(words, string(k))
	}
	return map[string]string{"kind": string(c.Kind), "name": c.Name, "host": c.Settings.Host, "security": string(c.Settings.Security),
		"inside": strconv.FormatBool(c.Settings.Inside), "enabled": strconv.FormatBool(c.Enabled), "kinds": strings.Join(words, " "),
		"recipients": strconv.Itoa(len(c.Settings.To)), "people": strconv.FormatBool(c.Settings.People),
		Language: c.Language, SettingsSHA256: ledger.Short("channel "+c.ID, string(settings)), SecretSHA256: ledger.OrNone(ledger.Short("secret", c.Sealed))}, nil
}

// Audit holds the channels against the ledger, by organisation. q is one unchanging view. The
// error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "notify_channel", []string{"organisation_id", "id", "kind", "name", "language", "settings", "secret", "kinds", "enabled", "created_at", "changed_at", "removed_at"}, func(r map[string]string) (string, string) {
		r["settings"], r["secret"] = ledger.Short("channel "+r["id"], r["settings"]), ledger.Short("secret", r["secret"])
		var kinds []string
		if json.Unmarshal([]byte(r["kinds"]), &kinds) == nil {
			r["kinds"] = strings.Join(kinds, " ")
		}
		return r["id"], r["id"]
	})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActChannel, ActRemove}, rows, toldOfChannels); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit channels: %w", err)
}

func toldOfChannels(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	if e.Act == ActRemove {
		return []ledger.Told{{Key: e.Subject, Is: map[string]string{"removed_at": at, "secret": "", "enabled": "0"}}}
	}
	enabled := "0"
	if e.Details["enabled"] == "true" {
		enabled = "1"
	}
	t := ledger.Told{Key: e.Subject, Made: true, First: map[string]string{"created_at": at, "id": e.Subject, "kind": e.Details["kind"]},
		Is: map[string]string{"name": e.Details["name"], "kinds": e.Details["kinds"], "enabled": enabled, "changed_at": at, "removed_at": ""}}
	t.Later(e, "language", Language)
	t.Later(e, "settings", SettingsSHA256)
	t.Later(e, "secret", SecretSHA256)
	return []ledger.Told{t}
}

// AuditWeekly holds when the week is told against the ledger, by organisation. Where nobody said
// it, there may be no row. q is one unchanging view. The error is only about not being able to
// look.
func AuditWeekly(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "notify_weekly", []string{"organisation_id", "enabled", "weekday", "hour"}, func(map[string]string) (string, string) { return "", "" })
	if err != nil {
		return nil, fmt.Errorf("audit the weekly summary: %w", err)
	}
	has := map[string]ledger.Row{}
	for _, r := range rows {
		has[r.OrganisationID] = r
	}
	of, err := ledger.ByOrganisation(ctx, q, has, func(r ledger.Row) string { return r.OrganisationID })
	found := map[string][]ledger.Difference{}
	for org := range of {
		if err != nil {
			break
		}
		want, by := DefaultWeekly().words(), int64(-1)
		err = ledger.Walk(ctx, q, org, []string{ActWeekly}, func(e ledger.Recorded) {
			if e.Index > by {
				by, want = e.Index, []string{e.Details["enabled"], e.Details["weekday"], e.Details["hour"]}
			}
		})
		is := DefaultWeekly().words()
		if r, ok := has[org]; ok {
			is = []string{strings.NewReplacer("0", "false", "1", "true").Replace(r.Says["enabled"]), r.Says["weekday"], r.Says["hour"]}
		}
		if !slices.Equal(is, want) {
			found[org] = append(found[org], ledger.Difference{Code: ledger.Edited, Subject: org, Detail: "when the week is told is not what the newest entry on it says, or the default where there is none"})
		}
	}
	if err != nil {
		return nil, fmt.Errorf("audit the weekly summary: %w", err)
	}
	return found, nil
}

// words are what its entry says.
func (w Weekly) words() []string {
	return []string{strconv.FormatBool(w.Enabled), strconv.Itoa(int(w.Weekday)), strconv.Itoa(w.Hour)}
}
