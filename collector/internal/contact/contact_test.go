package contact_test

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"pgregory.net/rapid"

	"hozen/collector/internal/calendar"
	"hozen/collector/internal/contact"
)

func days(t testing.TB) *calendar.Calendar {
	t.Helper()
	c, err := calendar.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t testing.TB) *contact.Book {
	t.Helper()
	b, err := contact.Load(days(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func jst(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", s, calendar.JST())
	if err != nil {
		panic(err)
	}
	return t
}

func TestWhoAnswersNow(t *testing.T) {
	b := load(t)
	for _, c := range []struct {
		desk, now string
		state     contact.ReachState
		at        string
	}{
		{"ipa-anshin", "2026-11-24 09:59", contact.Closed, "2026-11-24 10:00"},
		{"ipa-anshin", "2026-11-24 10:00", contact.Open, "2026-11-24 12:00"},
		{"ipa-anshin", "2026-11-24 12:00", contact.Closed, "2026-11-24 13:30"},
		{"ipa-anshin", "2026-11-24 16:59", contact.Open, "2026-11-24 17:00"},
		{"ipa-anshin", "2026-11-24 17:00", contact.Closed, "2026-11-25 10:00"},
		{"ipa-anshin", "2026-11-23 10:30", contact.Closed, "2026-11-24 10:00"}, // a holiday
		{"ipa-anshin", "2026-11-20 17:30", contact.Closed, "2026-11-24 10:00"}, // a long weekend
		{"ipa-anshin", "2026-12-28 17:30", contact.Closed, "2027-01-04 10:00"}, // the turn of the year
		{"ipa-anshin", "2026-05-01 18:00", contact.Closed, "2026-05-07 10:00"}, // the golden week
		{"houterasu", "2026-11-21 16:59", contact.Open, "2026-11-21 17:00"},    // a Saturday
		{"houterasu", "2026-11-21 17:00", contact.Closed, "2026-11-23 09:00"},  // open on holidays
		{"houterasu", "2026-11-22 10:00", contact.Closed, "2026-11-23 09:00"},  // a Sunday
		{"telework-mhlw", "2026-11-22 10:00", contact.Closed, ""},              // when it opens is not known
		{"telework-mhlw", "2026-11-24 10:00", contact.Unknown, ""},
		{"jpcert-request", "2026-11-24 10:00", contact.Unknown, ""}, // mail without hours
		{"jnsa-emergency", "2026-11-22 03:00", contact.Web, ""},
		{"npa-online", "2026-11-24 10:00", contact.Unknown, ""},
		{"ipa-anshin", "2029-02-05 10:30", contact.Unknown, ""}, // holidays not known
	} {
		d, ok := b.Desk(c.desk)
		if !ok {
			t.Fatalf("there is no %s", c.desk)
		}
		got := b.Reach(d, jst(c.now))
		at := ""
		if !got.At.IsZero() {
			at = got.At.In(calendar.JST()).Format("2006-01-02 15:04")
		}
		if got.State != c.state || at != c.at {
			t.Errorf("%s at %s: %s %s, want %s %s", c.desk, c.now, got.State, at, c.state, c.at)
		}
	}
}

// TestOpeningIsWhatComesNext follows every desk from any moment to the next change.
func TestOpeningIsWhatComesNext(t *testing.T) {
	b := load(t)
	desks := b.Desks()
	rapid.Check(t, func(t *rapid.T) {
		d := rapid.SampledFrom(desks).Draw(t, "desk")
		now := time.Unix(rapid.Int64Range(jst("2026-01-04 00:00").Unix(), jst("2028-12-01 00:00").Unix()).Draw(t, "now"), 0)
		r := b.Reach(d, now)
		if r.At.IsZero() {
			if r.State == contact.Open {
				t.Fatal("open without an end")
			}
			return
		}
		if !r.At.After(now) {
			t.Fatalf("changes at %s, before %s", r.At, now)
		}
		before, after := b.Reach(d, r.At.Add(-time.Nanosecond)), b.Reach(d, r.At)
		if before.State != r.State || after.State == r.State {
			t.Fatalf("%s at %s until %s: then %s and %s", r.State, now, r.At, before.State, after.State)
		}
	})
}

func TestChoose(t *testing.T) {
	b := load(t)
	ids := func(f contact.Filter, now string) (list []string) {
		for _, d := range b.Choose(f, jst(now)) {
			list = append(list, d.ID)
		}
		return list
	}
	const weekday, sunday = "2026-11-24 10:30", "2026-11-22 10:30"
	if got := ids(contact.Filter{}, weekday); len(got) != 34 {
		t.Errorf("%d desks", len(got))
	}
	if got := ids(contact.Filter{Region: "osaka"}, weekday); slices.Contains(got, "tcyss") || !slices.Contains(got, "ppc-report") {
		t.Errorf("Osaka gets %v", got)
	}
	if got := ids(contact.Filter{Region: "tokyo", Playbook: "ransomware"}, weekday); !slices.Contains(got, "tcyss") || slices.Contains(got, "safeline") {
		t.Errorf("Tokyo gets %v", got)
	}
	if got := ids(contact.Filter{Playbook: "malware", Open: true}, sunday); slices.Contains(got, "ipa-anshin") || !slices.Contains(got, "jnsa-emergency") || slices.Contains(got, "ipa-cs-support") {
		t.Errorf("open on a Sunday are %v", got)
	}
	if got := ids(contact.Filter{Playbook: "malware", Open: true}, weekday); !slices.Contains(got, "ipa-anshin") {
		t.Errorf("open on a weekday are %v", got)
	}
}

func TestWhatTheGuidePrintsWrongIsNeverUsed(t *testing.T) {
	b := load(t)
	n := 0
	for _, d := range b.Desks() {
		for _, v := range slices.Concat(d.URLs, d.Tels, d.Mails) {
			if v.GuideValue == "" {
				continue
			}
			n++
			for _, o := range b.Desks() {
				for _, used := range slices.Concat(o.URLs, o.Tels, o.Mails) {
					if used.Value == v.GuideValue {
						t.Errorf("%s uses %q", o.ID, v.GuideValue)
					}
				}
			}
		}
	}
	if n != 3 {
		t.Errorf("%d misprints", n)
	}
}

func TestStale(t *testing.T) {
	b := load(t)
	on := b.ReviewedOn()
	for n, want := range map[int]bool{0: false, 180: false, 181: true} {
		if got := b.Stale(on, on.Add(n).At(12, 0)); got != want {
			t.Errorf("after %d days: %t", n, got)
		}
	}
}

func TestForms(t *testing.T) {
	for s, want := range map[string]string{"03-5978-7509": "0359787509", "#9110": "#9110", "+81 3 1234 5678": "+81312345678", "": "", "call me": "", "03;rm": "", "##": "", "1234567890123456789012": ""} {
		if got := contact.Dial(s); got != want {
			t.Errorf("%q is dialled as %q", s, got)
		}
	}
	for s, want := range map[string]bool{"info@jpcert.or.jp": true, "anshin.@ipa.go.jp": false, "a@b": false, "a@b@c.jp": false, "a b@c.jp": false, "a@c.jp?cc=x": false, "@c.jp": false} {
		if got := contact.MailForm(s); got != want {
			t.Errorf("%q is a mail address: %t", s, got)
		}
	}
}

func TestShortestHours(t *testing.T) {
	got := contact.ShortestHours([]contact.Own{{Kind: contact.Client, WithinHours: 48}, {Kind: contact.Client, WithinHours: 12}, {Kind: contact.Client}, {Kind: contact.Vendor}})
	if len(got) != 1 || got["client"] != 12 {
		t.Error(got)
	}
}

func TestLoaderRefuses(t *testing.T) {
	dir := os.DirFS("data")
	for _, c := range []struct{ name, file, old, new, want string }{
		{"an unknown key", "contacts.toml", "ours = true", "ours = true\nmine = true", "unknown key"},
		{"a contact twice", "contacts.toml", `id = "tcyss"`, `id = "ihc"`, "stands twice"},
		{"a category", "contacts.toml", `category = "police"`, `category = "cake"`, `"cake"`},
		{"a prefecture", "contacts.toml", `regions = ["tokyo"]`, `regions = ["edo"]`, `"edo"`},
		{"plain http", "contacts.toml", "https://www.safe-line.jp/", "http://www.safe-line.jp/", "the address"},
		{"a script", "contacts.toml", "https://www.safe-line.jp/", "javascript:alert(1)", "the address"},
		{"a number", "contacts.toml", `value = "0570-078374"`, `value = "ring"`, "the number"},
		{"the misprint in use", "contacts.toml", `value = "ew-info@jpcert.or.jp"`, `value = "ew-info@jpcert.or.jpl"`, "what the guide prints"},
		{"the other misprint in use", "contacts.toml", `value = "anshin@ipa.go.jp"`, `value = "anshin.@ipa.go.jp"`, "mail address"},
		{"hours that end before they begin", "contacts.toml", `["10:00", "12:00"]`, `["12:00", "10:00"]`, "has the hours"},
		{"hours that overlap", "contacts.toml", `["13:30", "17:00"]`, `["11:30", "17:00"]`, "has the hours"},
		{"an hour", "contacts.toml", `["09:00", "21:00"]`, `["9", "21:00"]`, "has the hours"},
		{"a day", "contacts.toml", `closed = ["sun"]`, `closed = ["payday"]`, `"payday"`},
		{"somebody instead who is not there", "contacts.toml", `instead = "ipa-cs-support"`, `instead = "nobody"`, `"nobody"`},
		{"one language", "regions.toml", `en = "Kyoto"`, `en = ""`, "no text in en"},
		{"no review", "contacts.toml", "stale_after_days = 180", "stale_after_days = 0", "never gets stale"},
	} {
		m := fstest.MapFS{}
		for _, n := range []string{"contacts.toml", "regions.toml"} {
			b, err := fs.ReadFile(dir, n)
			if err != nil {
				t.Fatal(err)
			}
			m[n] = &fstest.MapFile{Data: b}
		}
		text := string(m[c.file].Data)
		if !strings.Contains(text, c.old) {
			t.Errorf("%s: %s has no %q", c.name, c.file, c.old)
			continue
		}
		m[c.file].Data = []byte(strings.Replace(text, c.old, c.new, 1))
		if _, err := contact.Read(m, days(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", c.name, err, c.want)
		}
	}
}
