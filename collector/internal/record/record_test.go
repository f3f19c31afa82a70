package record_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123, time.UTC)

func version(i record.Item, no int64, s record.State, v record.Value) record.Version {
	return record.Version{OrganisationID: "org_a", IncidentID: "inc_a", Item: i, No: no, State: s, Value: v, EnteredBy: "田中", EnteredAt: noon, LedgerIdx: 10*no + int64(len(i))}
}

func TestNumbersOfItems(t *testing.T) {
	if len(record.Items()) != 10 || record.Type.Number() != 1 || record.Tools.Number() != 10 || record.KnownAt.Number() != 0 {
		t.Error("the ten items are not numbered as in the guide")
	}
	if record.Timeline.Answerable() || !record.KnownAt.Answerable() {
		t.Error("the timeline writes itself, and the moment of knowing is answered")
	}
}

func TestMomentsThatPeriodsCountFrom(t *testing.T) {
	o := record.Opening{DiscoveredAt: noon}
	if m := record.NewSheet("inc_a", record.Opening{}, nil).KnownAt(); !m.At.IsZero() || m.State != record.Unknown {
		t.Errorf("nothing is known: %+v", m)
	}
	s := record.NewSheet("inc_a", o, nil)
	if m := s.KnownAt(); !m.At.Equal(noon) || m.Version != 0 || m.Item != record.DiscoveredAt || m.State != record.Estimated {
		t.Errorf("of the report: %+v", m)
	}
	earlier, knew := noon.Add(-time.Hour), noon.Add(time.Hour)
	versions := []record.Version{
		version(record.DiscoveredAt, 1, record.Known, record.Value{At: noon}), version(record.DiscoveredAt, 2, record.Known, record.Value{At: earlier}),
	}
	s = record.NewSheet("inc_a", o, versions)
	if m := s.KnownAt(); !m.At.Equal(earlier) || m.Version != 2 || m.Item != record.DiscoveredAt {
		t.Errorf("corrected: %+v", m)
	}
	if older := s.Answers[record.DiscoveredAt].Older(); len(older) != 1 || !older[0].Value.At.Equal(noon) {
		t.Errorf("what was answered before is gone: %+v", older)
	}
	s = record.NewSheet("inc_a", o, append(versions, version(record.KnownAt, 1, record.Estimated, record.Value{At: knew})))
	if m := s.KnownAt(); !m.At.Equal(knew) || m.Item != record.KnownAt || s.DiscoveredAt().Version != 2 {
		t.Errorf("known later: %+v", m)
	}
	s = record.NewSheet("inc_a", o, append(versions, version(record.KnownAt, 1, record.Unknown, record.Value{})))
	if m := s.KnownAt(); !m.At.Equal(earlier) {
		t.Errorf("not known when it was known: %+v", m)
	}
	if then := s.AsOf(10 + int64(len(record.DiscoveredAt)) + 1); !then.KnownAt().At.Equal(noon) {
		t.Errorf("as of then: %+v", then.KnownAt())
	}
}

func TestUnknownIsAnAnswer(t *testing.T) {
	s := record.NewSheet("inc_a", record.Opening{Type: "leak"}, nil)
	if _, ok := s.Get(record.Cause); ok {
		t.Error("nobody has answered")
	}
	if types := s.Types(); len(types) != 1 || types[0] != "leak" {
		t.Errorf("types of the report: %v", types)
	}
	s = record.NewSheet("inc_a", record.Opening{Type: "leak"}, []record.Version{version(record.Cause, 1, record.Unknown, record.Value{}), version(record.Type, 1, record.Unknown, record.Value{})})
	if v, ok := s.Get(record.Cause); !ok || v.State != record.Unknown {
		t.Error("the answer that it is not known is none")
	}
	if types := s.Types(); types != nil {
		t.Errorf("it is said that the type is not known: %v", types)
	}
}

func TestCheck(t *testing.T) {
	text := func(f record.Field, s string) record.Value {
		return record.Value{Fields: map[record.Field]string{f: s}}
	}
	for name, c := range map[string]struct {
		item  record.Item
		state record.State
		value record.Value
		part  string // that is wrong; empty: nothing
		err   error
	}{
		"type":                {record.Type, record.Known, record.Value{Types: []string{"leak", "malware"}}, "", nil},
		"no type":             {record.Type, record.Known, record.Value{}, "types", record.ErrMissing},
		"unknown type":        {record.Type, record.Unknown, record.Value{}, "", nil},
		"unknown with a type": {record.Type, record.Unknown, record.Value{Types: []string{"leak"}}, "state", record.ErrForeign},
		"moment":              {record.DiscoveredAt, record.Known, record.Value{At: noon}, "", nil},
		"no moment":           {record.DiscoveredAt, record.Known, text(record.How, "x"), "at", record.ErrMissing},
		"absurd moment":       {record.DiscoveredAt, record.Known, record.Value{At: time.Date(12345, 1, 1, 0, 0, 0, 0, time.UTC)}, "at", record.ErrNoSuch},
		"unknown moment":      {record.KnownAt, record.Unknown, text(record.How, "x"), "", nil},
		"unknown yet a time":  {record.KnownAt, record.Unknown, record.Value{At: noon}, "state", record.ErrForeign},
		"moment with an end":  {record.DiscoveredAt, record.Known, record.Value{At: noon, Until: noon}, "until", record.ErrForeign},
		"interval":            {record.OccurredAt, record.Estimated, record.Value{At: noon, Until: noon.Add(1), Confidence: record.Low}, "", nil},
		"open interval":       {record.OccurredAt, record.Estimated, record.Value{Until: noon}, "", nil},
		"backwards":           {record.OccurredAt, record.Estimated, record.Value{At: noon, Until: noon.Add(-1)}, "until", record.ErrBackwards},
		"confidence":          {record.OccurredAt, record.Estimated, record.Value{At: noon, Confidence: "very"}, "confidence", record.ErrNoSuch},
		"symptoms":            {record.Symptoms, record.Known, text(record.What, "画面"), "", nil},
		"foreign field":       {record.Symptoms, record.Known, text(record.Antivirus, "x"), "antivirus", record.ErrForeign},
		"long field":          {record.Symptoms, record.Known, text(record.What, strings.Repeat("x", record.MaxText+1)), "what", record.ErrTooLong},
		"long name":           {record.BusinessOperator, record.Known, text(record.Name, strings.Repeat("x", record.MaxName+1)), "name", record.ErrTooLong},
		"nothing":             {record.Tools, record.Known, record.Value{}, "value", record.ErrMissing},
		"cause":               {record.Cause, record.Estimated, text(record.Category, "mail"), "", nil},
		"no such cause":       {record.Cause, record.Estimated, text(record.Category, "aliens"), "category", record.ErrNoSuch},
		"facts":               {record.Assets, record.Known, record.Value{Facts: []record.Fact{{Kind: record.FactDevice}}}, "", nil},
		"facts elsewhere":     {record.Cause, record.Known, record.Value{Facts: []record.Fact{{}}}, "facts", record.ErrForeign},
		"too much":            {record.Assets, record.Known, record.Value{Facts: []record.Fact{{Name: strings.Repeat("x", record.MaxValue)}}}, "value", record.ErrTooLong},
		"timeline":            {record.Timeline, record.Known, text(record.Text, "x"), "item", record.ErrNoSuch},
		"state":               {record.Cause, "sure", text(record.Text, "x"), "state", record.ErrNoSuch},
	} {
		err := record.Check(c.item, c.state, c.value)
		fault, ok := errors.AsType[*record.Refusal](err)
		if c.part == "" && err != nil || c.part != "" && (!ok || fault.Part != c.part || !errors.Is(err, c.err)) {
			t.Errorf("%s: %v, want %s: %v", name, err, c.part, c.err)
		}
	}
}

func TestEveryFieldBelongsToAnItem(t *testing.T) {
	for _, i := range record.Answerable() {
		for _, f := range i.Fields() {
			if f.Max() != record.MaxText && f.Max() != record.MaxName {
				t.Errorf("%s of %s may have %d bytes", f, i, f.Max())
			}
		}
	}
}

// hostile is what people and PCs write: markup, bytes that are no text, NUL, and characters
// beyond the Basic Multilingual Plane.
const hostile = "<script>alert(1)</script>\x00\xff𠮷野家 👩‍💻\u202e\n2行目"

func TestRowsComeBackAsTheyWere(t *testing.T) {
	sqldbtest.Run(t, func(t *testing.T, db *sqldb.DB) {
		ctx := t.Context()
		value := record.Value{Fields: map[record.Field]string{record.Devices: " " + hostile + " ", record.Software: "  "}, Facts: []record.Fact{{Kind: record.FactDevice, Host: hostile, Evidence: "INC-2026-0001-E01-02", At: noon}}}.Clean()
		if value.Get(record.Software) != "" || len(value.Fields) != 1 {
			t.Errorf("empty fields are kept: %+v", value.Fields)
		}
		a, b := version(record.Assets, 1, record.Known, value), version(record.OccurredAt, 1, record.Estimated, record.Value{At: noon, Until: noon.Add(time.Hour), Confidence: record.High})
		a.Basis = record.Basis{Evidence: []string{"INC-2026-0001-E01-02"}, Alert: "alt_x", Person: "佐藤"}
		again := version(record.Assets, 2, record.Unknown, record.Value{})
		again.Reason = "取り違え"
		d := record.Decision{OrganisationID: "org_a", IncidentID: "inc_a", No: 1, Kind: record.DecidePay, Options: "払う\n払わない", Facts: "f", Decision: "払わない", Reason: "r", Decider: "社長", DecidedAt: noon, EnteredAt: noon, EnteredBy: "田中", LedgerIdx: 5}
		q1 := record.Enquiry{OrganisationID: "org_a", IncidentID: "inc_a", No: 1, AskedAt: noon, Who: "客", Channel: record.ByPhone, Question: "?", EnteredAt: noon, LedgerIdx: 6}
		q2 := q1
		q2.No, q2.Follows, q2.Answer = 2, 1, "!"
		err := db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			for _, v := range []record.Version{a, again, b} {
				no, err := record.NextVersion(ctx, tx, v.IncidentID, v.Item)
				if err != nil || no != v.No {
					t.Errorf("%s is numbered %d, %v", v.Item, no, err)
				}
				if err := record.InsertVersion(ctx, tx, v); err != nil {
					return err
				}
			}
			return errors.Join(record.InsertDecision(ctx, tx, d), record.InsertEnquiry(ctx, tx, q1), record.InsertEnquiry(ctx, tx, q2))
		})
		if err != nil {
			t.Fatal(err)
		}
		list, err := record.Versions(ctx, db.Read(), "inc_a")
		if err != nil || len(list) != 3 {
			t.Fatal(list, err)
		}
		for n, want := range []record.Version{a, again, b} {
			got := list[n]
			if got.Value.Encode() != want.Value.Encode() || got.State != want.State || got.No != want.No || got.Reason != want.Reason || !got.EnteredAt.Equal(noon) || got.LedgerIdx != want.LedgerIdx ||
				strings.Join(got.Basis.Evidence, " ") != strings.Join(want.Basis.Evidence, " ") || got.Basis.Alert != want.Basis.Alert || got.Basis.Person != want.Basis.Person {
				t.Errorf("%+v, want %+v", got, want)
			}
		}
		if got := list[0].Value.Get(record.Devices); !strings.Contains(got, "𠮷野家 👩‍💻") || strings.Contains(got, "\x00") {
			t.Errorf("%q", got)
		}
		decisions, err := record.Decisions(ctx, db.Read(), "inc_a")
		if err != nil || len(decisions) != 1 || decisions[0] != d {
			t.Errorf("%+v, %v", decisions, err)
		}
		enquiries, err := record.Enquiries(ctx, db.Read(), "inc_a")
		if err != nil || len(enquiries) != 2 || enquiries[0] != q2 || enquiries[1] != q1 {
			t.Errorf("%+v, %v", enquiries, err)
		}
		if nd, ne, err := record.Count(ctx, db.Read(), "inc_a"); nd != 1 || ne != 2 || err != nil {
			t.Error(nd, ne, err)
		}
		if none, err := record.Versions(ctx, db.Read(), "inc_b"); err != nil || none != nil {
			t.Error(none, err)
		}
	})
}

func FuzzDecodeValue(f *testing.F) {
	f.Add(`{"types":["leak"],"at":"2026-11-22T12:00:00Z","fields":{"what":"x"},"facts":[{"kind":"tool","at":"2026-11-22T12:00:00Z"}]}`)
	f.Add(`{"at":"9999-99-99T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, s string) {
		v, err := record.DecodeValue(s)
		if err != nil {
			return
		}
		w, err := record.DecodeValue(v.Encode())
		if err != nil || w.Encode() != v.Encode() {
			t.Errorf("%q becomes %q, %v", v.Encode(), w.Encode(), err)
		}
	})
}
