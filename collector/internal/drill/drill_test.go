package drill_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"hozen/collector/internal/drill"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/id"
)

func at(minute int) time.Time {
	return time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC).Add(time.Duration(minute) * time.Minute)
}

func TestTargetsThatComeWithTheProduct(t *testing.T) {
	b, err := drill.Load()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(b.Targets()); n != len(drill.Moments())-1 || b.Reviewed().IsZero() {
		t.Errorf("%d targets, reviewed %s", n, b.Reviewed())
	}
}

func TestTargetsThatAreNotWholeAreRefused(t *testing.T) {
	const good = "format = \"hozen-drill-targets/1\"\nreviewed_on = 2026-11-23\n"
	target := func(moment, from, minutes, reason string) string {
		return "[[target]]\nmoment = \"" + moment + "\"\nfrom = \"" + from + "\"\nminutes = " + minutes + "\nname = { ja = \"あ\", en = \"a\" }\nreason = { ja = \"" + reason + "\", en = \"b\" }\n"
	}
	for want, text := range map[string]string{
		"has the format":          strings.Replace(good, "/1", "/2", 1),
		"there is no target":      good,
		"no such moment":          good + target("lunch", "opened", "1", "r"),
		"which comes later":       good + target("opened", "document", "1", "r"),
		"stands twice":            good + target("told", "opened", "1", "r") + target("told", "opened", "2", "r"),
		"want 1 to":               good + target("told", "opened", "0", "r"),
		"reason has no text in j": good + target("told", "opened", "1", " "),
	} {
		_, err := drill.Read(fstest.MapFS{"targets.toml": {Data: []byte(text)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

func TestMeasure(t *testing.T) {
	b, err := drill.Load()
	if err != nil {
		t.Fatal(err)
	}
	step := func(w drill.What, endpoint string, minute int) drill.Step {
		return drill.Step{What: w, EndpointID: endpoint, At: at(minute)}
	}
	for name, c := range map[string]struct {
		f     drill.Facts
		now   int
		want  string // of the moments from Opened on
		first string
	}{
		"just opened":              {drill.Facts{Reported: at(0), Opened: at(5)}, 6, "in_time running running running running", ""},
		"opened late, all overdue": {drill.Facts{Reported: at(0), Opened: at(20)}, 200, "late overdue overdue overdue overdue", ""},
		"a PC is missing": {drill.Facts{Reported: at(0), Opened: at(0), EndedAt: at(300), EndpointIDs: []string{"a", "b"},
			Steps: []drill.Step{step(drill.Isolate, "a", 2)}, Real: []drill.Done{{EndpointID: "b", What: drill.Acquire, At: at(1)}}}, 400, "in_time not_done not_done not_done not_done", ""},
		"the last PC counts, real and simulated": {drill.Facts{Reported: at(0), Opened: at(0), EndpointIDs: []string{"a", "b"}, ToldAt: at(31), DocumentAt: at(60),
			Steps: []drill.Step{step(drill.Acquire, "a", 3), step(drill.Isolate, "a", 4), step(drill.Isolate, "b", 16), step(drill.ToldOwner, "", 30)},
			Real:  []drill.Done{{EndpointID: "b", What: drill.Acquire, At: at(10)}, {EndpointID: "b", What: drill.Acquire, At: at(12)}}}, 100, "in_time in_time late in_time in_time", "true"},
		"all at once, and the wrong way round": {drill.Facts{Reported: at(0), Opened: at(0), EndpointIDs: []string{"a", "b"},
			Steps: []drill.Step{step(drill.Isolate, "", 1), step(drill.Acquire, "", 2)}}, 3, "in_time in_time in_time running running", "false"},
		"without a PC": {drill.Facts{Reported: at(0), Opened: at(0), Steps: []drill.Step{step(drill.Acquire, "", 11)}}, 12, "in_time late running running running", ""},
	} {
		r := b.Measure(c.f, at(c.now))
		var got []string
		for _, l := range r.Laps {
			got = append(got, string(l.State))
		}
		first := ""
		if r.FirstEvidence != nil {
			first = map[bool]string{true: "true", false: "false"}[*r.FirstEvidence]
		}
		if s := strings.Join(got, " "); s != c.want || first != c.first {
			t.Errorf("%s: %s, evidence first %q", name, s, first)
		}
	}
}

func TestStepsAndResultsAreKept(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		book, err := drill.Load()
		if err != nil {
			t.Fatal(err)
		}
		kept := drill.Kept{IncidentID: "inc", Version: 1, At: at(90), ActorName: "社長", LedgerIdx: 8,
			Result: book.Measure(drill.Facts{Reported: at(0), Opened: at(3), EndedAt: at(90), EndpointIDs: []string{"a"}}, at(90))}
		s := drill.Step{ID: id.New(id.DrillStep), OrganisationID: "org", IncidentID: "inc", EndpointID: "a", What: drill.Isolate, At: at(1), ActorKind: "operator", ActorID: "o", ActorName: "社長", Note: "𠮷野", LedgerIdx: 7}
		err = db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			if err := drill.InsertStep(ctx, tx, s); err != nil {
				return err
			}
			return drill.InsertResult(ctx, tx, "org", kept)
		})
		if err != nil {
			t.Fatal(err)
		}
		if list, err := drill.Steps(ctx, db.Read(), "inc"); err != nil || len(list) != 1 || list[0] != s {
			t.Errorf("%+v, %v", list, err)
		}
		list, err := drill.Results(ctx, db.Read(), "inc")
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		was, _ := kept.Result.Encode()
		if is, _ := list[0].Result.Encode(); string(is) != string(was) || !list[0].At.Equal(kept.At) || list[0].LedgerIdx != 8 {
			t.Errorf("%s\n%s", is, was)
		}
		if list, err := drill.Results(ctx, db.Read(), "other"); err != nil || len(list) != 0 {
			t.Errorf("%+v, %v", list, err)
		}
	})
}
