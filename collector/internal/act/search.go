package act

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"hozen/collector/internal/contact"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/search"
)

// Bounds of a search.
const (
	// MaxHits is how many things of one kind are found at most.
	MaxHits = 200
	// searchTime is how long all of a search takes at most.
	searchTime = 3 * time.Second
	// maxSearches is how many go on at one time: each reads much of the database.
	maxSearches = 4
)

// ErrBusy means that too many search at this moment; trying again helps.
var ErrBusy = errors.New("too many searches at this moment")

// HitKind is what kind of thing was found.
type HitKind string

// The kinds, in the order in which they are told.
const (
	HitIncident    HitKind = "incident"
	HitEndpoint    HitKind = "endpoint"
	HitEvidence    HitKind = "evidence"
	HitAcquisition HitKind = "acquisition"
	HitExhibit     HitKind = "exhibit"
	HitUpload      HitKind = "upload"
	HitTimeline    HitKind = "timeline"
	HitAnswer      HitKind = "answer"
	HitDecision    HitKind = "decision"
	HitEnquiry     HitKind = "enquiry"
	HitCommand     HitKind = "command"
	HitReport      HitKind = "report"
	HitContact     HitKind = "contact"
	HitPerson      HitKind = "person"
	HitLedger      HitKind = "ledger"
)

// HitKinds returns all kinds.
func HitKinds() []HitKind {
	return []HitKind{HitIncident, HitEndpoint, HitEvidence, HitAcquisition, HitExhibit, HitUpload, HitTimeline, HitAnswer, HitDecision, HitEnquiry,
		HitCommand, HitReport, HitContact, HitPerson, HitLedger}
}

// Hits are what was found of one kind.
type Hits struct {
	Kind HitKind
	List []search.Found // at most [MaxHits]
	More bool           // there are more
}

// Findings are what a search found.
type Findings struct {
	Query search.Query
	Hits  []Hits // of kinds of which there is something
	// Cut means that the time was over before everything was searched.
	Cut bool
	// Numbers are those of the incidents, and Names the names of the endpoints, that belong to what was found.
	Numbers, Names map[string]string
}

// searched are the kinds that an actor may search, and where.
func searched(a Actor) map[HitKind]search.Source {
	where := map[HitKind]search.Source{
		HitIncident: incident.Searched(), HitEndpoint: endpoint.Searched(), HitEvidence: evidence.Searched(), HitAcquisition: evidence.SearchedAcquisitions(),
		HitExhibit: exhibit.Searched(), HitUpload: record.SearchedUploads(), HitTimeline: incident.SearchedEntries(a.may(mayReadReasons), a.may(mayRecord)),
		HitAnswer: record.SearchedAnswers(), HitCommand: dispatch.Searched(), HitContact: contact.Searched(), HitPerson: operator.Searched(),
	}
	if a.may(mayReadReasons) {
		where[HitDecision], where[HitReport] = record.SearchedDecisions(), report.Searched()
	}
	if a.may(mayRecord) {
		where[HitEnquiry] = record.SearchedEnquiries()
	}
	return where
}

// Search looks for words in everything that the actor may see, or, where kind is not empty,
// in things of one kind. It is [ErrBusy] while many others search. What somebody may not see is not found, and neither is it counted.
func (s *Acts) Search(ctx context.Context, a Actor, text string, kind HitKind) (Findings, error) {
	f := Findings{Query: search.Parse(text)}
	a, err := s.identify(ctx, s.db.Read(), a, mayLook)
	if err != nil {
		return Findings{}, err
	}
	if kind != "" && !slices.Contains(HitKinds(), kind) {
		return Findings{}, &Invalid{Field: "in", Code: "unknown", Err: errors.New("there is no such kind")}
	}
	select {
	case s.searching <- struct{}{}:
		defer func() { <-s.searching }()
	default:
		return Findings{}, ErrBusy
	}
	ctx, cancel := context.WithTimeout(ctx, searchTime)
	defer cancel()
	granted, members, err := s.searchable(ctx, a)
	if err != nil {
		return Findings{}, known(err)
	}
	where := searched(a)
	for _, k := range HitKinds() {
		if kind != "" && k != kind {
			continue
		}
		within := granted
		if k == HitEndpoint {
			within = members
		}
		var list []search.Found
		src, ok := where[k]
		switch {
		case ok:
			list, err = src.Find(ctx, s.db.Read(), f.Query, a.OrganisationID, within, MaxHits+1)
		case k == HitLedger && within == nil && a.may(mayReadLedger):
			list, err = s.searchLedger(ctx, a, f.Query)
		}
		if errors.Is(err, context.DeadlineExceeded) || err != nil && ctx.Err() != nil {
			f.Cut = true
			break
		}
		if err != nil {
			return Findings{}, known(err)
		}
		if h := hitsOf(k, list, f.Query, a); len(h.List) > 0 {
			f.Hits = append(f.Hits, h)
		}
	}
	// What things are called is asked beside the time of the search: without it nothing reads well.
	if err := s.nameHits(context.WithoutCancel(ctx), a, &f); err != nil {
		return Findings{}, known(err)
	}
	return f, nil
}

// searchable is to what a search is held: nothing for most people, for somebody from outside
// what was granted, and the endpoints that are part of it.
func (s *Acts) searchable(ctx context.Context, a Actor) (granted, members *search.Within, err error) {
	if a.only == nil {
		return nil, nil, nil
	}
	granted, members = &search.Within{}, &search.Within{Endpoints: true}
	for id := range a.only {
		granted.Values = append(granted.Values, id)
		list, err := incident.Endpoints(ctx, s.db.Read(), id)
		if err != nil {
			return nil, nil, err
		}
		members.Values = append(members.Values, list...)
	}
	slices.Sort(granted.Values)
	slices.Sort(members.Values)
	members.Values = slices.Compact(members.Values)
	return granted, members, nil
}

// hitsOf makes of what a table has what is told of it: the words of JSON that nobody wrote
// do not count, a thing is told once, and what belongs to something that was not granted is
// left out whatever the table said.
func hitsOf(k HitKind, list []search.Found, q search.Query, a Actor) Hits {
	h := Hits{Kind: k, More: len(list) > MaxHits}
	told := map[string]bool{}
	for _, x := range list {
		if a.only != nil && k != HitEndpoint && !a.only[x.IncidentID] {
			continue
		}
		key := x.ID + " " + x.IncidentID
		if told[key] || len(h.List) == MaxHits {
			continue
		}
		told[key] = true
		also := ""
		var err error
		switch k {
		case HitAnswer:
			x.Text, err = record.FoundAnswer(x.Text)
		case HitUpload:
			also, x.Text, err = record.FoundUpload(x.Text)
		}
		if err != nil || (k == HitAnswer || k == HitUpload) && !q.Fits(x.Text, x.Name, also) {
			continue
		}
		h.List = append(h.List, x)
	}
	return h
}

// searchLedger finds the entry that has a number, and the newest one about a subject.
func (s *Acts) searchLedger(ctx context.Context, a Actor, q search.Query) ([]search.Found, error) {
	if len(q.Words) != 1 {
		return nil, nil
	}
	word := q.Words[0][0]
	f := ledger.Filter{OrganisationID: a.OrganisationID, Limit: 1}
	if n, err := strconv.ParseInt(word, 10, 64); err == nil && n >= 0 && n < 1<<53 {
		f.Before = n + 1
	} else {
		f.Subject = word
	}
	list, err := ledger.Entries(ctx, s.db.Read(), f)
	if err != nil || len(list) == 0 || f.Subject == "" && list[0].Index != f.Before-1 {
		return nil, err
	}
	e := list[0]
	return []search.Found{{ID: strconv.FormatInt(e.Index, 10), Name: e.Act, Text: e.Subject, At: e.At}}, nil
}

// nameHits finds what the incidents and endpoints are called to which the hits belong.
func (s *Acts) nameHits(ctx context.Context, a Actor, f *Findings) error {
	f.Numbers, f.Names = map[string]string{}, map[string]string{}
	q := s.db.Read()
	var incidents, endpoints []string
	for _, h := range f.Hits {
		for _, x := range h.List {
			incidents, endpoints = append(incidents, x.IncidentID), append(endpoints, x.EndpointID)
		}
	}
	if err := incident.Numbers(ctx, q, a.OrganisationID, distinct(incidents), f.Numbers); err != nil {
		return err
	}
	return endpoint.Names(ctx, q, a.OrganisationID, distinct(endpoints), f.Names)
}

// distinct returns each of the identifiers once, without the empty one.
func distinct(list []string) []string {
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return s == "" })
}
