package notify_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/notify"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
)

func jst(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02 15:04", s, time.FixedZone("JST", 9*60*60))
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestSlot(t *testing.T) {
	monday := notify.DefaultWeekly()
	for _, c := range []struct {
		name      string
		w         notify.Weekly
		now, want string
	}{
		{"at the moment", monday, "2026-11-23 08:00", "2026-11-23 08:00"},
		{"a minute before", monday, "2026-11-23 07:59", "2026-11-16 08:00"},
		{"later in the week", monday, "2026-11-29 23:59", "2026-11-23 08:00"},
		{"Sunday night", notify.Weekly{Weekday: time.Sunday, Hour: 23}, "2026-11-29 23:00", "2026-11-29 23:00"},
		{"Sunday night, before", notify.Weekly{Weekday: time.Sunday, Hour: 23}, "2026-11-29 22:59", "2026-11-22 23:00"},
		{"it is Monday in Japan, Sunday in UTC", notify.Weekly{Weekday: time.Monday}, "2026-11-23 00:30", "2026-11-23 00:00"},
		{"over the end of the year", notify.Weekly{Weekday: time.Thursday, Hour: 9}, "2027-01-02 10:00", "2026-12-31 09:00"},
	} {
		if got, want := c.w.Slot(jst(t, c.now).UTC()), jst(t, c.want); !got.Equal(want) {
			t.Errorf("%s: %v, want %v", c.name, got, want)
		}
	}
	for w, want := range map[notify.Weekly]bool{monday: true, {Weekday: 7}: false, {Weekday: -1}: false, {Hour: 24}: false, {Hour: -1}: false} {
		if w.Valid() != want {
			t.Errorf("%+v: valid %t", w, !want)
		}
	}
}

// TestWeeklyIsTakenOnce: nothing goes out for a slot that was over when it was set, and of
// two who look one takes it.
func TestWeeklyIsTakenOnce(t *testing.T) {
	run(t, func(x *rig) {
		x.clock = jst(t, "2026-11-24 10:00")
		find := func() (notify.Weekly, time.Time, time.Time, bool) {
			w, told, err := notify.FindWeekly(t.Context(), x.db.Read(), org)
			if err != nil {
				t.Fatal(err)
			}
			slot, due := notify.WeeklyDue(w, told, x.clock)
			return w, told, slot, due
		}
		if w, told, _, due := find(); w != notify.DefaultWeekly() || !told.IsZero() || due {
			t.Errorf("before anybody looked: %+v, %v, due %t", w, told, due)
		}
		set := notify.Weekly{Enabled: true, Weekday: time.Friday, Hour: 9}
		x.tx(func(ctx context.Context, tx *sqldb.Tx) error { return notify.SetWeekly(ctx, tx, org, set, x.clock) })
		if w, _, _, due := find(); w != set || due {
			t.Errorf("just set: %+v, due %t", w, due)
		}
		x.clock = jst(t, "2026-11-27 09:00")
		_, told, slot, due := find()
		if !due {
			t.Fatal("not due at its time")
		}
		took := 0
		for range 2 {
			x.tx(func(ctx context.Context, tx *sqldb.Tx) error {
				mine, err := notify.TakeWeekly(ctx, tx, org, told, slot)
				if mine {
					took++
				}
				return err
			})
		}
		if _, _, _, due := find(); took != 1 || due {
			t.Errorf("taken %d times, due %t", took, due)
		}
		set.Enabled = false
		x.tx(func(ctx context.Context, tx *sqldb.Tx) error { return notify.SetWeekly(ctx, tx, org, set, x.clock) })
		x.clock = x.clock.AddDate(0, 0, 14)
		if _, _, _, due := find(); due {
			t.Error("due although it is off")
		}
	})
}

func TestWeekInWords(t *testing.T) {
	texts, err := notify.Texts()
	if err != nil {
		t.Fatal(err)
	}
	at := jst(t, "2026-11-23 08:00")
	quiet := notify.Week{Endpoints: 12, Heard: 12, Planned: true, BackupAt: at.Add(-5 * time.Hour), ProvedAt: at.Add(-50 * time.Hour), CertificateUntil: at.AddDate(0, 2, 0), Drills: 1, DrillAt: at.Add(-24 * time.Hour)}
	busy := notify.Week{Endpoints: 12, Heard: 11, Concerns: []notify.WeekConcern{{Code: "disk", Count: 1, Urgent: true}, {Code: "silent", Count: 3}, {Code: "of_tomorrow", Count: 1}}, Planned: true,
		Incidents: []notify.WeekIncident{{Number: "INC-2026-0005", Unknown: true}, {Number: "INC-2026-0007", Clock: "ppc_preliminary", Due: at.Add(48 * time.Hour), Late: 1}, {Number: "INC-2026-0009"}}, More: 2}
	for _, c := range []struct {
		name       string
		l          i18n.Language
		w          *notify.Week
		subject    string
		want, lack []string
	}{
		{"nothing", i18n.Japanese, &quiet, "対応が必要なことはありません", []string{"12台のうち12台", "最新 2026-11-23 03:00 JST", "読み戻して確かめた日時 2026-11-21 06:00 JST", "証明書の期限: 2027-01-23", "この7日間に1回", "安全だという意味ではありません"}, []string{"不明", "件あります"}},
		{"nothing", i18n.English, &quiet, "nothing needs you", []string{"12 of 12", "2026-11-23 03:00 JST"}, []string{"unknown"}},
		{"much", i18n.Japanese, &busy, "確認してほしいことがあります", []string{"8件あります", "【要対応】コレクターのディスク", "連絡がない端末: 3台", "見守りの気がかり", "バックアップ: まだありません", "証明書の期限: 不明", "INC-2026-0007 次の期限: 個人情報保護委員会への速報 2026-11-25 08:00 JST（期限を過ぎたもの 1件）", "INC-2026-0005 期限は不明です", "INC-2026-0009 進んでいる期限はありません", "ほかに2件", "訓練: 記録がありません"}, []string{"ありません。PCが"}},
		{"much", i18n.English, &busy, "something needs you", []string{"[see to it] the collector's disk", "for 7 days or more: 3", "2 more", "until: unknown"}, nil},
		{"no endpoints", i18n.Japanese, &notify.Week{}, "確認してほしいことがあります", []string{"見守っているPCはありません", "定期的には取っていません"}, nil},
		{"no week at all", i18n.English, nil, "something needs you", nil, nil},
	} {
		m := notify.Words(texts.Printer(c.l), notify.Event{Kind: notify.WeeklySummary, At: at, Path: "/watch", Week: c.w}, "https://console.example")
		if !strings.Contains(m.Subject, c.subject) || m.URL != "https://console.example/watch" || strings.ContainsAny(m.Text, "⟦{}") {
			t.Errorf("%s %s: %+v", c.name, c.l, m)
		}
		for _, w := range c.want {
			if !strings.Contains(m.Text, w) {
				t.Errorf("%s %s: no %q in\n%s", c.name, c.l, w, m.Text)
			}
		}
		for _, w := range c.lack {
			if strings.Contains(m.Text, w) {
				t.Errorf("%s %s: %q in\n%s", c.name, c.l, w, m.Text)
			}
		}
	}
}
