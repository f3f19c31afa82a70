package act

import (
	"context"
	"strings"

	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
)

// documentRecord adds what people wrote down: the ten items in their newest versions and the
// decisions. The exhibits must be there already.
func (s *Acts) documentRecord(ctx context.Context, q sqldb.Queryer, inc incident.Incident, f *report.Facts) error {
	versions, err := record.Versions(ctx, q, inc.ID)
	if err != nil {
		return err
	}
	sheet := record.NewSheet(inc.ID, record.Opening{}, versions)
	gone := map[string]bool{}
	for _, x := range f.Exhibits {
		gone[x.Number] = x.Gone
	}
	for _, item := range record.Answerable() {
		v, ok := sheet.Get(item)
		if !ok {
			continue
		}
		a := answerOf(v, gone)
		f.Answers[report.Key(item)] = a
		for key, field := range map[report.Key]record.Field{report.Impact: record.Impact, report.Damage: record.Damage} {
			if text := v.Value.Get(field); text != "" {
				f.Answers[key] = part(a, text)
			}
		}
		switch item {
		case record.BusinessOperator:
			f.Organisation.Client = v.Value.Get(record.Client)
		case record.DiscoveredAt:
			if how := v.Value.Get(record.How); how != "" {
				f.Answers[report.FoundBy] = part(a, how)
			}
		case record.Cause:
			if c := v.Value.Get(record.Category); c != "" {
				route := part(a, "")
				route.Parts = []report.Part{{Name: string(record.Category), Text: c}}
				f.Answers[report.Route] = route
			}
		}
	}
	list, err := record.Decisions(ctx, q, inc.ID)
	if err != nil {
		return err
	}
	for _, d := range list {
		f.Decisions = append(f.Decisions, report.Decision{Kind: string(d.Kind), Choice: d.Decision, Reason: d.Reason, Decider: d.Decider, Options: d.Options, Known: d.Facts,
			At: d.DecidedAt, LedgerIdx: d.LedgerIdx})
	}
	return nil
}

// part is a part of an answer as an answer of its own, on the same ground.
func part(a report.Answer, text string) report.Answer {
	a.Value, a.Parts = text, nil
	a.From, a.To = zeroTime, zeroTime
	return a
}

// answerOf is a version as documents print it.
func answerOf(v record.Version, gone map[string]bool) report.Answer {
	a := report.Answer{From: v.Value.At, To: v.Value.Until, State: report.State(v.State), By: v.EnteredBy, At: v.EnteredAt, Version: int(v.No), LedgerIdx: v.LedgerIdx}
	for _, t := range v.Value.Types {
		a.Parts = append(a.Parts, report.Part{Name: "types", Text: t})
	}
	for _, f := range v.Item.Fields() {
		if text := v.Value.Get(f); text != "" {
			a.Parts = append(a.Parts, report.Part{Name: string(f), Text: text})
		}
	}
	basis := v.Basis.Evidence
	for _, f := range v.Value.Facts {
		a.Parts = append(a.Parts, report.Part{Name: "fact." + f.Kind, Text: strings.TrimSpace(f.Host + ": " + f.Name + " " + f.Detail), State: f.State, At: f.At})
		basis = append(basis, f.Evidence)
	}
	seen := map[string]bool{}
	for _, number := range basis {
		if number != "" && !seen[number] {
			seen[number] = true
			a.Basis = append(a.Basis, report.Basis{Number: number, Gone: gone[number] || gone[exhibitOf(number)]})
		}
	}
	if v.Basis.Alert != "" {
		a.Basis = append(a.Basis, report.Basis{Alert: true})
	}
	if v.Basis.Person != "" {
		a.Basis = append(a.Basis, report.Basis{Person: v.Basis.Person})
	}
	return a
}

// exhibitOf is the number of the exhibit that a piece of evidence is part of.
func exhibitOf(number string) string {
	if i := strings.LastIndex(number, "-E"); i >= 0 {
		if j := strings.IndexByte(number[i+2:], '-'); j >= 0 {
			return number[:i+2+j]
		}
	}
	return number
}
