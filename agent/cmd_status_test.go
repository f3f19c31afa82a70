package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"hozen/agent/internal/localapi"
)

// TestStatusTellsOfALedgerThatWasRewritten: in both languages, with what to do, and never more
// than a screen of it; without a conflict nothing warns.
func TestStatusTellsOfALedgerThatWasRewritten(t *testing.T) {
	at := time.Date(2026, 11, 23, 1, 2, 3, 0, time.UTC)
	s := localapi.Status{Version: "1", StartedAt: at, Spool: localapi.Spool{Encrypted: true}, Ledger: &localapi.Ledger{Origin: "hozen-custody/x", Size: 12}}
	said := func(lang string) string {
		var out bytes.Buffer
		c := newCommand("status", func(string) string { return lang }, stdio{out: &out, err: &out})
		c.print(s)
		return out.String()
	}
	for lang, words := range map[string][2]string{"ja_JP.UTF-8": {"12 件まで確認済み", "警告"}, "en_US.UTF-8": {"12 entries were seen", "WARNING"}} {
		if got := said(lang); !strings.Contains(got, words[0]) || strings.Contains(got, words[1]) {
			t.Errorf("%s", got)
		}
	}
	for i, kind := range []string{"shorter", "rewritten", "other_key", "other_origin", "from-the-future"} {
		s.Ledger.Conflicts = append(s.Ledger.Conflicts, localapi.LedgerConflict{Kind: kind, At: at, Detail: "evil\x1b[2J", Told: i%2 == 0})
	}
	got := said("ja_JP.UTF-8")
	for _, want := range []string{"5 回", "コレクターを通さずに", "別の鍵で署名されています", "種類不明", "コレクターに伝達済み", "コレクターに未伝達"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "以前より件数が減っています") || strings.Contains(got, "\x1b") || strings.Contains(got, "status.") || strings.Contains(got, "conflict.") {
		t.Errorf("%q", got)
	}
	s.Spool.Encrypted, s.Spool.Unsealed = false, true
	if got := said("en_US.UTF-8"); !strings.Contains(got, "in the clear") || !strings.Contains(got, "not told to the collector yet") || !strings.Contains(got, "Make room on the disk") {
		t.Errorf("%s", got)
	}
}
