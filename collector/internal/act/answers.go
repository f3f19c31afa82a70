package act

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/record"
	"hozen/collector/internal/sqldb"
)

// Record returns the ten items of an incident with every answer that was ever given.
func (s *Acts) Record(ctx context.Context, a Actor, incidentID string) (record.Sheet, error) {
	return read(ctx, s, a, mayLook, func(q sqldb.Queryer, a Actor) (record.Sheet, error) {
		inc, err := incident.FindBare(ctx, q, a.OrganisationID, incidentID)
		if err != nil {
			return record.Sheet{}, err
		}
		return sheetOf(ctx, q, inc)
	})
}

func sheetOf(ctx context.Context, q sqldb.Queryer, inc incident.Incident) (record.Sheet, error) {
	o := record.Opening{At: inc.OpenedAt, DiscoveredAt: inc.DiscoveredAt, Reporter: inc.Reporter, Type: string(inc.Classification)}
	e, err := incident.Opened(ctx, q, inc.ID)
	switch {
	case err == nil:
		o.LedgerIdx, o.Type, o.Reporter = e.LedgerIdx, e.Params["classification"], e.Params["reporter"]
		if t, err := sqldb.ParseTime(e.Params["discovered_at"]); err == nil && !t.IsZero() {
			o.DiscoveredAt = t // the row says what was answered since
		}
	case !errors.Is(err, incident.ErrNotFound):
		return record.Sheet{}, err
	}
	al, err := incident.FirstAlert(ctx, q, inc.ID)
	if err != nil && !errors.Is(err, incident.ErrNoAlert) {
		return record.Sheet{}, err
	}
	if err == nil && al.ReceivedAt.Equal(inc.OpenedAt) { // else it joined later
		o.Alert = al.ID
	}
	versions, err := record.Versions(ctx, q, inc.ID)
	if err != nil {
		return record.Sheet{}, err
	}
	return record.NewSheet(inc.ID, o, versions), nil
}

// AnyVersion as [NewAnswer.After] means that it does not matter what was answered before.
const AnyVersion = -1

// NewAnswer is an answer to one item of the record.
type NewAnswer struct {
	Item  record.Item
	State record.State
	Value record.Value
	// Basis is what the answer rests on; default: the actor says so.
	Basis record.Basis
	// Reason is why it replaces the answer before it. Of [record.DiscoveredAt] and
	// [record.KnownAt], from which periods count, it is required then.
	Reason string
	// After is the number of the newest version that the person had seen, 0 where there was
	// none: where another came meanwhile, it is [ErrConflict]. [AnyVersion] does not look.
	After int64
}

// SetAnswer answers an item of the record; what was answered before stays. The same answer
// again changes nothing.
func (s *Acts) SetAnswer(ctx context.Context, a Actor, incidentID string, n NewAnswer) (record.Version, error) {
	if err := s.checkAnswer(&n); err != nil {
		return record.Version{}, err
	}
	var v record.Version
	err := s.write(ctx, a, mayRecord, func(ctx context.Context, d *deed) error {
		inc, err := incident.FindBare(ctx, d.tx, d.actor.OrganisationID, incidentID)
		if err != nil {
			return err
		}
		if err := s.named(ctx, d.tx, inc, n.Basis.Evidence); err != nil {
			return err
		}
		v, err = s.answer(ctx, d, inc, n)
		return err
	})
	return v, err
}

// checkAnswer puts an answer in order and reports what is wrong with it.
func (s *Acts) checkAnswer(n *NewAnswer) error {
	n.Value, n.Reason = n.Value.Clean(), sqldb.CleanText(strings.TrimSpace(n.Reason))
	n.Basis.Person = sqldb.CleanText(strings.TrimSpace(n.Basis.Person))
	if err := record.Check(n.Item, n.State, n.Value); err != nil {
		fault, ok := errors.AsType[*record.Refusal](err)
		if !ok {
			return err
		}
		return &Invalid{Field: fault.Part, Code: answerFault(err), Err: err}
	}
	for field, t := range map[string]time.Time{"at": n.Value.At, "until": n.Value.Until} {
		if err := s.past(field, t); err != nil {
			return err
		}
	}
	for _, c := range n.Value.Types {
		if !incident.Classification(c).Valid() || c == string(incident.NotYet) {
			return &Invalid{Field: "types", Code: "unknown", Err: fmt.Errorf("there is no classification %.40q", c)}
		}
	}
	if err := text("reason", n.Reason, record.MaxText, false); err != nil {
		return err
	}
	if err := text("person", n.Basis.Person, record.MaxName, false); err != nil {
		return err
	}
	if len(n.Basis.Evidence) > record.MaxEvidence {
		return &Invalid{Field: "evidence", Code: "range", Err: fmt.Errorf("at most %d pieces of evidence", record.MaxEvidence)}
	}
	return nil
}

func answerFault(err error) string {
	switch {
	case errors.Is(err, record.ErrMissing):
		return "required"
	case errors.Is(err, record.ErrTooLong):
		return "too_long"
	case errors.Is(err, record.ErrBackwards):
		return "range"
	case errors.Is(err, record.ErrNoSuch):
		return "unknown"
	}
	return "malformed"
}

// named refuses evidence of which there is none in the organisation.
func (s *Acts) named(ctx context.Context, q sqldb.Queryer, inc incident.Incident, numbers []string) error {
	for _, no := range numbers {
		_, err := exhibit.Find(ctx, q, inc.OrganisationID, no)
		if errors.Is(err, exhibit.ErrNotFound) {
			_, err = s.evidence.Item(ctx, inc.OrganisationID, no)
		}
		if errors.Is(err, exhibit.ErrNotFound) || errors.Is(err, evidence.ErrNotFound) {
			return &Invalid{Field: "evidence", Code: "unknown", Err: fmt.Errorf("there is no evidence %.60q", no)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// answer stores an answer that was checked.
func (s *Acts) answer(ctx context.Context, d *deed, inc incident.Incident, n NewAnswer) (record.Version, error) {
	versions, err := record.Versions(ctx, d.tx, inc.ID)
	if err != nil {
		return record.Version{}, err
	}
	old, answered := record.NewSheet(inc.ID, record.Opening{}, versions).Get(n.Item)
	if n.Basis.Empty() {
		n.Basis.Person = d.actor.Name
	}
	same := answered && old.State == n.State && old.Value.Equal(n.Value) && old.Basis.Person == n.Basis.Person && old.Basis.Alert == n.Basis.Alert &&
		slices.Equal(old.Basis.Evidence, n.Basis.Evidence)
	switch {
	case same && (n.Reason == "" || n.Reason == old.Reason):
		return old, nil
	case n.After != AnyVersion && n.After != old.No:
		return record.Version{}, fmt.Errorf("%w: version %d of %s was written meanwhile", ErrConflict, old.No, n.Item)
	case answered && n.Reason == "" && (n.Item == record.DiscoveredAt || n.Item == record.KnownAt):
		return record.Version{}, &Invalid{Field: "reason", Code: "required", Err: errors.New("periods count from it: why it is another one must be said")}
	case old.No >= record.MaxVersions:
		return record.Version{}, &Invalid{Field: "item", Code: "range", Err: fmt.Errorf("%s was answered %d times", n.Item, old.No)}
	}
	v := record.Version{OrganisationID: inc.OrganisationID, IncidentID: inc.ID, Item: n.Item, No: old.No + 1, State: n.State, Value: n.Value, Basis: n.Basis,
		Reason: n.Reason, EnteredID: d.actor.ID, EnteredBy: sqldb.CleanText(d.actor.Name), EnteredAt: d.now.UTC().Round(0)}
	if v.LedgerIdx, err = d.record(ctx, record.ActAnswer, inc.ID, v.Details()); err != nil {
		return v, err
	}
	if err := record.InsertVersion(ctx, d.tx, v); err != nil {
		return v, err
	}
	// The incident carries what lists and pages show of it.
	switch {
	case v.Item == record.Type && v.State == record.Unknown:
		err = incident.SetClassification(ctx, d.tx, inc.ID, incident.NotYet)
	case v.Item == record.Type:
		err = incident.SetClassification(ctx, d.tx, inc.ID, incident.Classification(v.Value.Types[0]))
	case v.Item == record.DiscoveredAt && !v.Value.At.IsZero():
		err = incident.SetDiscovered(ctx, d.tx, inc.ID, v.Value.At)
	}
	if err != nil {
		return v, err
	}
	return v, s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntryAnswer, Text: v.Reason, LedgerIdx: v.LedgerIdx, Params: map[string]string{
		"item": string(v.Item), "version": strconv.FormatInt(v.No, 10), "state": string(v.State), "types": strings.Join(v.Value.Types, " "),
		"at": sqldb.FormatTime(v.Value.At), "until": sqldb.FormatTime(v.Value.Until)}})
}
