package deadline_test

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
	"hozen/collector/internal/deadline"
)

func days(t testing.TB) *calendar.Calendar {
	t.Helper()
	c, err := calendar.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func load(t testing.TB) *deadline.Book {
	t.Helper()
	b, err := deadline.Load(days(t))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func find(t testing.TB, list []deadline.Deadline, id string) deadline.Deadline {
	t.Helper()
	n := slices.IndexFunc(list, func(d deadline.Deadline) bool { return d.Clock.ID == id })
	if n < 0 {
		t.Fatalf("there is no %s", id)
	}
	return list[n]
}

func jst(s string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04:05", s, calendar.JST())
	if err != nil {
		panic(err)
	}
	return t
}

func answered(b *deadline.Book, a deadline.Answers) *deadline.Answered {
	return &deadline.Answered{Answers: a, Verdict: b.Decide(a)}
}

// base is an answer by which something must be reported, with all that is not said
// answered no.
func base(change ...string) deadline.Answers {
	a := deadline.Answers{"personal_data": "yes", "my_number": "no", "delegated": "no", "happened": "yes", "sensitive": "no", "financial": "no", "improper_purpose": "no",
		"over_1000": "no", "protected": "no", "processor": "no"}
	for n := 0; n < len(change); n += 2 {
		a[change[n]] = change[n+1]
	}
	return a
}

// TestTheClocks is the test of the days: what is discovered on 22 November 2026 is
// reported from the 24th to the 26th, and finally on 21 December or 20 January.
func TestTheClocks(t *testing.T) {
	b := load(t)
	for _, at := range []string{"2026-11-22 00:00:00", "2026-11-22 12:00:00", "2026-11-22 23:59:59"} {
		f := deadline.Facts{DiscoveredAt: jst(at)}
		p := find(t, b.Count(f), "ppc.preliminary")
		if p.From.String() != "2026-11-24" || p.LastDay().String() != "2026-11-26" || p.State != deadline.Provisional || !p.Due.Equal(jst("2026-11-27 00:00:00")) {
			t.Errorf("%s: preliminary from %s to %s, %s, due %s", at, p.From, p.LastDay(), p.State, p.Due)
		}
		for purpose, want := range map[string]string{"no": "2026-12-21", "unknown": "2026-12-21", "yes": "2027-01-20"} {
			f.Answered = answered(b, base("sensitive", "yes", "improper_purpose", purpose))
			d := find(t, b.Count(f), "ppc.final")
			if d.LastDay().String() != want || d.State != deadline.Running {
				t.Errorf("%s: final report with improper purpose %s until %s, %s", at, purpose, d.LastDay(), d.State)
			}
		}
	}
	d := find(t, b.Count(deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00"), KnownAt: jst("2026-11-23 00:00:00")}), "ppc.preliminary")
	if d.From.String() != "2026-11-25" {
		t.Errorf("it counts from the discovery and not from the knowing: %s", d.From)
	}
}

func TestWorkdayBeforeTheLastDay(t *testing.T) {
	b := load(t)
	// 30 days from 24 November 2026 end on 23 December, a Wednesday; from 30 November on the
	// 29th, when offices of the state are closed.
	for at, want := range map[string]string{"2026-11-24 09:00:00": "0000-00-00", "2026-11-30 09:00:00": "2026-12-28", "2026-12-05 09:00:00": "2026-12-28"} {
		if d := find(t, b.Count(deadline.Facts{DiscoveredAt: jst(at)}), "ppc.final"); d.Workday.String() != want {
			t.Errorf("%s: until %s, working day before %s, want %s", at, d.LastDay(), d.Workday, want)
		}
	}
	if d := find(t, b.Count(deadline.Facts{DiscoveredAt: jst("2028-12-20 09:00:00")}), "ppc.final"); !d.HolidaysUnknown {
		t.Error("holidays of 2029 are known")
	}
}

// TestDaysOfAnyMoment counts from any moment in any year.
func TestDaysOfAnyMoment(t *testing.T) {
	b := load(t)
	cal := days(t)
	rapid.Check(t, func(t *rapid.T) {
		start := time.Unix(rapid.Int64Range(1_700_000_000, 1_900_000_000).Draw(t, "start"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")).UTC()
		purpose := rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "purpose")
		list := b.Count(deadline.Facts{DiscoveredAt: start, Answered: answered(b, base("sensitive", "yes", "improper_purpose", purpose))})
		want := map[string]int{"ppc.preliminary": 5, "ppc.final": 30}
		if purpose == "yes" {
			want["ppc.final"] = 60
		}
		known := calendar.DateOf(start)
		for id, n := range want {
			n1 := slices.IndexFunc(list, func(d deadline.Deadline) bool { return d.Clock.ID == id })
			d := list[n1]
			last := d.LastDay()
			if got := last.Sub(known) + 1; got != n {
				t.Fatalf("%s: from %s the last day %s is day %d, want %d", id, known, last, got, n)
			}
			if d.Due != last.End() && !d.Due.Equal(last.End()) || calendar.DateOf(d.Due) != last.Add(1) {
				t.Fatalf("%s: due %s is not the end of %s", id, d.Due, last)
			}
			if !d.Due.After(start) || d.Overdue(d.Due.Add(-1)) || !d.Overdue(d.Due) {
				t.Fatalf("%s: overdue at the wrong moment", id)
			}
			if !d.Workday.IsZero() && (!d.Workday.Before(last) || !cal.Workday(d.Workday) || cal.Workday(last)) {
				t.Fatalf("%s: %s is no better than %s", id, d.Workday, last)
			}
		}
		// The day counts, not the time of day.
		other := b.Count(deadline.Facts{DiscoveredAt: known.Start(), Answered: answered(b, base("sensitive", "yes", "improper_purpose", purpose))})
		for n, d := range list {
			if (len(d.Clock.Window) > 0 || d.Clock.Days > 0) && !d.Due.Equal(other[n].Due) {
				t.Fatalf("%s: %s and midnight end at %s and %s", d.Clock.ID, start, d.Due, other[n].Due)
			}
		}
	})
}

// TestTwentyCases is what the questions come to.
func TestTwentyCases(t *testing.T) {
	b := load(t)
	for n, c := range []struct {
		what          string
		change        []string
		outcome, rule string
		client        bool
	}{
		{"ransomware on a server with customers", []string{"improper_purpose", "yes"}, "report", "improper_purpose", false},
		{"ransomware, nobody knows yet what is on the server", []string{"improper_purpose", "yes", "personal_data", "unknown"}, "ask", "personal_data_unknown", false},
		{"stolen laptop without encryption, one customer", []string{"improper_purpose", "yes", "protected", "no"}, "report", "improper_purpose", false},
		{"stolen laptop, strongly encrypted, key elsewhere", []string{"improper_purpose", "yes", "protected", "yes"}, "ask", "protected_but_improper", false},
		{"lost USB stick, strongly encrypted, ten customers", []string{"protected", "yes"}, "probably_not", "protected", false},
		{"lost USB stick, not encrypted, ten customers", nil, "probably_not", "small", false},
		{"lost USB stick, not encrypted, 1,001 customers", []string{"over_1000", "yes"}, "report", "over_1000", false},
		{"lost USB stick, nobody knows how many", []string{"over_1000", "unknown"}, "ask", "over_1000_unknown", false},
		{"mail to the wrong address with one check-up result", []string{"sensitive", "yes"}, "report", "sensitive", false},
		{"mail to the wrong address with one business card", nil, "probably_not", "small", false},
		{"card numbers on a shop's page", []string{"financial", "yes"}, "report", "financial", false},
		{"code that skims what is being typed in", []string{"financial", "yes", "improper_purpose", "yes", "happened", "possible"}, "report", "financial", false},
		{"an insider copied the list of customers", []string{"improper_purpose", "yes", "happened", "possible"}, "report", "improper_purpose", false},
		{"malware on a PC, nobody knows whether on purpose", []string{"improper_purpose", "unknown", "happened", "unknown"}, "ask", "improper_purpose_unknown", false},
		{"malware on a PC without personal data", []string{"personal_data", "no", "improper_purpose", "yes"}, "probably_not", "no_personal_data", false},
		{"an alert that was blocked, nothing happened", []string{"happened", "no", "improper_purpose", "yes"}, "probably_not", "nothing_happened", false},
		{"payroll with My Number", []string{"my_number", "yes"}, "my_number", "my_number", false},
		{"nobody knows whether My Number is among it", []string{"my_number", "unknown", "personal_data", "no"}, "my_number", "my_number", false},
		{"a processor whose client's data were encrypted", []string{"improper_purpose", "yes", "processor", "yes"}, "report", "improper_purpose", true},
		{"a processor lost ten records of a client", []string{"processor", "yes"}, "probably_not", "small", true},
	} {
		v := b.Decide(base(c.change...))
		if v.Outcome.Key != c.outcome || v.Rule != c.rule || v.Starts("client") != c.client {
			t.Errorf("%d %s: %s by %s, client %t", n+1, c.what, v.Outcome.Key, v.Rule, v.Starts("client"))
		}
		runs := find(t, b.Count(deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00"), Answered: answered(b, base(c.change...))}), "ppc.preliminary").State == deadline.Running
		if runs != (c.outcome != "probably_not") {
			t.Errorf("%d %s: the clock runs: %t", n+1, c.what, runs)
		}
	}
	if v := b.Decide(nil); v.Outcome.Key != "my_number" || !v.Outcome.Starts {
		t.Errorf("who knows nothing gets %+v", v.Outcome)
	}
	notes := func(a deadline.Answers) (keys []string) {
		for _, n := range b.Decide(a).Notes {
			keys = append(keys, n.Key)
		}
		return keys
	}
	if got := notes(base("delegated", "yes", "happened", "possible")); !slices.Equal(got, []string{"delegated", "suspected"}) {
		t.Error(got)
	}
}

// TestNeverFlatlyNotReportable goes over all answers.
func TestNeverFlatlyNotReportable(t *testing.T) {
	b := load(t)
	rapid.Check(t, func(t *rapid.T) {
		a := deadline.Answers{}
		unknowns := 0
		for _, q := range b.Questions() {
			a[q.Key] = rapid.SampledFrom(q.Answers).Draw(t, q.Key)
			if slices.Contains([]string{"sensitive", "financial", "improper_purpose", "over_1000"}, q.Key) && a[q.Key] == "unknown" {
				unknowns++
			}
		}
		v := b.Decide(a)
		if v.Rule == "" || v.Why.JA == "" || v.Why.EN == "" || v.Outcome.Next.JA == "" {
			t.Fatalf("%v: %+v says nothing", a, v)
		}
		if v.Outcome.Tone == "ok" {
			t.Fatalf("%v: shown as well", a)
		}
		if !v.Outcome.Starts && !strings.Contains(v.Outcome.Name.JA, "可能性") {
			t.Fatalf("%v: flatly %q", a, v.Outcome.Name.JA)
		}
		if unknowns > 0 && v.Rule == "small" {
			t.Fatalf("%v: unknown counts as no", a)
		}
	})
}

func TestHoursOfContracts(t *testing.T) {
	b := load(t)
	f := deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00"), KnownAt: jst("2026-11-22 18:00:00")}
	client := func() deadline.Deadline { return find(t, b.Count(f), "client") }
	if d := client(); d.State != deadline.Off {
		t.Errorf("without an answer: %s", d.State)
	}
	f.Answered = answered(b, base("processor", "yes"))
	if d := client(); d.State != deadline.Running || !d.Due.Equal(jst("2026-11-23 18:00:00")) || d.Counted != "hours:24" {
		t.Errorf("%s until %s", d.State, d.Due)
	}
	f.Contracts = map[string]int{"client": 6, "insurer": 72}
	if d := client(); !d.Due.Equal(jst("2026-11-23 00:00:00")) {
		t.Errorf("the contract's hours do not count: %s", d.Due)
	}
	if d := find(t, b.Count(f), "insurer"); d.State != deadline.Running || !d.Due.Equal(jst("2026-11-25 12:00:00")) {
		t.Errorf("insurer: %s until %s", d.State, d.Due)
	}
	if d := find(t, b.Count(f), "partner"); d.State != deadline.Unset || d.Dated() {
		t.Errorf("partner without hours: %s until %s", d.State, d.Due)
	}
}

func TestOwnerIsToldAgainAndAgain(t *testing.T) {
	b := load(t)
	f := deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00")}
	owner := func() deadline.Deadline { return find(t, b.Count(f), "owner_update") }
	if d := owner(); !d.Due.Equal(jst("2026-11-22 16:00:00")) || d.State != deadline.Running {
		t.Errorf("%s %s", d.State, d.Due)
	}
	f.Done = []deadline.Done{{Clock: "owner_update", DoneAt: jst("2026-11-22 15:30:00")}}
	if d := owner(); !d.Due.Equal(jst("2026-11-22 19:30:00")) || d.State != deadline.Running {
		t.Errorf("%s %s", d.State, d.Due)
	}
	f.Closed = true
	if d := owner(); d.State != deadline.Ended || d.Ticking() {
		t.Errorf("after closing: %s", d.State)
	}
}

func TestClosingDoesNotEndTheLaw(t *testing.T) {
	b := load(t)
	f := deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00"), Closed: true, Answered: answered(b, base("sensitive", "yes"))}
	if d := find(t, b.Count(f), "ppc.final"); d.State != deadline.Running {
		t.Errorf("%s", d.State)
	}
	f.Done = []deadline.Done{{Clock: "ppc.final", DoneAt: jst("2026-12-01 10:00:00"), ReceiptNo: "R-1"}}
	if d := find(t, b.Count(f), "ppc.final"); d.State != deadline.Met || d.Met.ReceiptNo != "R-1" || d.Ticking() {
		t.Errorf("%+v", d)
	}
}

func TestReminders(t *testing.T) {
	b := load(t)
	d := find(t, b.Count(deadline.Facts{DiscoveredAt: jst("2026-11-22 00:00:00")}), "ppc.preliminary")
	kinds := func(at time.Time) (all []string) {
		for _, r := range d.Reminders(at) {
			all = append(all, string(r.Kind))
		}
		return all
	}
	for at, want := range map[string]string{
		"2026-11-24 11:59:59": "", "2026-11-24 12:00:00": "half", "2026-11-25 23:59:59": "half", "2026-11-26 00:00:00": "half day",
		"2026-11-26 23:59:59": "half day", "2026-11-27 00:00:00": "half day overdue",
	} {
		if got := strings.Join(kinds(jst(at)), " "); got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if o := find(t, b.Count(deadline.Facts{DiscoveredAt: jst("2026-11-22 00:00:00")}), "owner_update"); len(o.Reminders(jst("2026-11-22 03:00:00"))) != 0 {
		t.Error("the owner is reminded of at half of four hours")
	}
	d.State = deadline.Met
	if len(kinds(jst("2026-12-01 00:00:00"))) > 0 {
		t.Error("somebody is reminded of what was done")
	}
}

// files is a copy of the product's data.
func files(t *testing.T) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	dir := os.DirFS("data")
	for _, n := range []string{"clocks.toml", "reportable.toml"} {
		b, err := fs.ReadFile(dir, n)
		if err != nil {
			t.Fatal(err)
		}
		m[n] = &fstest.MapFile{Data: b}
	}
	return m
}

func TestLoaderRefuses(t *testing.T) {
	for _, c := range []struct{ name, file, old, new, want string }{
		{"an unknown key", "clocks.toml", "soft = true", "soft = true\nhard = true", "unknown key"},
		{"a clock twice", "clocks.toml", `id = "ppc.final"`, `id = "ppc.preliminary"`, "stands twice"},
		{"two ways to count", "clocks.toml", "days = 30", "days = 30\nhours = 3", "count in one way"},
		{"no way to count", "clocks.toml", "days = 30\n", "", "count in one way"},
		{"a window that ends before it begins", "clocks.toml", "window = [3, 5]", "window = [5, 3]", "window"},
		{"another start", "clocks.toml", `start = "known_at"`, `start = "birth"`, `"birth"`},
		{"days by a question that is none", "clocks.toml", "improper_purpose = 60", "bad_luck = 60", `"bad_luck"`},
		{"a reminder", "clocks.toml", `"half", "day"`, `"half", "hour"`, `"hour"`},
		{"one language", "clocks.toml", `name = { ja = "サイバー保険の事故連絡", en = "Notice to the cyber insurer" }`, `name = { ja = "サイバー保険の事故連絡" }`, "no text in en"},
		{"a contract of nobody", "clocks.toml", "hours_of = \"partner\"", "hours = 5", "does not say whose"},
		{"a question twice", "reportable.toml", `key = "delegated"`, `key = "my_number"`, "stands twice"},
		{"a question without unknown", "reportable.toml", `answers = ["yes", "no", "unknown"]`, `answers = ["yes", "no"]`, "with unknown"},
		{"an answer that is none", "reportable.toml", `happened = ["no"]`, `happened = ["nope"]`, `"nope"`},
		{"a rule about nothing", "reportable.toml", "[rule.answers]\nhappened = [\"no\"]", "", "fits everything"},
		{"an outcome that is none", "reportable.toml", `outcome = "my_number"`, `outcome = "fine"`, `"fine"`},
		{"an outcome in green", "reportable.toml", `tone = "unknown"`, `tone = "ok"`, `"ok"`},
		{"no way to ask", "reportable.toml", `key = "ask"`, `key = "asked"`, `no outcome "ask"`},
	} {
		m := files(t)
		text := string(m[c.file].Data)
		if !strings.Contains(text, c.old) {
			t.Errorf("%s: %s has no %q", c.name, c.file, c.old)
			continue
		}
		m[c.file].Data = []byte(strings.Replace(text, c.old, c.new, 1))
		if _, err := deadline.Read(m, days(t)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s…", c.name, err, c.want)
		}
	}
}

func TestAClosedFalseAlarmHasNoDeadlines(t *testing.T) {
	for _, d := range load(t).Count(deadline.Facts{DiscoveredAt: jst("2026-11-22 12:00:00"), Closed: true}) {
		if d.Ticking() {
			t.Errorf("%s is %s until %s", d.Clock.ID, d.State, d.Due)
		}
	}
}
