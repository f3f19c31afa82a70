package act

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/scan"
	"hozen/collector/internal/search"
	"hozen/internal/artifact"
	"hozen/internal/id"
)

// ScanBounds are those of a search in the contents of evidence.
type ScanBounds struct {
	Time     time.Duration // of one search
	Bytes    int64         // unpacked, of one search
	Piece    int64         // unpacked, of one piece of evidence
	Line     int           // bytes of one line
	Hits     int           // lines that are found by one search
	PieceHit int           // lines that are found in one piece of evidence
	AtOnce   int           // searches that go on at one time; of one person, one
	Kept     int           // searches whose results are kept
	Age      time.Duration // after the end, when results are forgotten
}

// DefaultScanBounds fit the collector of a small office.
func DefaultScanBounds() ScanBounds {
	return ScanBounds{Time: 3 * time.Minute, Bytes: 4 << 30, Piece: 256 << 20, Line: 4 << 20, Hits: 300, PieceHit: 50, AtOnce: 2, Kept: 20, Age: time.Hour}
}

// actSearchEvidence is a search in the contents of evidence, in the ledger.
const actSearchEvidence = "evidence.search"

// NewEvidenceSearch is what somebody wants to look for in the contents of evidence.
type NewEvidenceSearch struct {
	Text       string
	IncidentID string          // empty: the whole organisation; somebody from outside names one
	Kinds      []artifact.Kind // empty: all
	Days       int             // received within so many days; 0: whenever
}

// maxScanKinds and maxScanDays bound what is asked for.
const (
	maxScanKinds = 64
	maxScanDays  = 3650
)

// ScanState is how far a search is.
type ScanState string

// The states. All but the first are ends.
const (
	ScanRunning   ScanState = "running"
	ScanDone      ScanState = "done"
	ScanCancelled ScanState = "cancelled"
	ScanCut       ScanState = "cut"    // a bound was reached
	ScanBarred    ScanState = "barred" // whoever asked may not look any more
)

// ScanStates returns all of them.
func ScanStates() []ScanState {
	return []ScanState{ScanRunning, ScanDone, ScanCancelled, ScanCut, ScanBarred}
}

// ScanLack is why a piece of evidence was not searched, or not all of it.
type ScanLack string

// The lacks.
const (
	LackForm       ScanLack = "form"       // it is no list of records: memory, files as they are
	LackDisposed   ScanLack = "disposed"   // its bytes are gone
	LackUnreadable ScanLack = "unreadable" // damaged, or not there
	LackPiece      ScanLack = "piece"      // it is larger than what is read of one piece
	LackHits       ScanLack = "hits"       // there is more in it than is told of one piece
	LackLines      ScanLack = "lines"      // lines in it are too long
	LackNotReached ScanLack = "not_reached"
)

// ScanLacks returns all of them, in the order in which they are told.
func ScanLacks() []ScanLack {
	return []ScanLack{LackForm, LackDisposed, LackUnreadable, LackPiece, LackHits, LackLines, LackNotReached}
}

// EvidenceHit is one line of evidence in which all words stand.
type EvidenceHit struct {
	Item evidence.Item
	scan.Hit
}

// EvidenceSearch is a search in the contents of evidence, and what it found so far.
type EvidenceSearch struct {
	ID         string
	IncidentID string
	Query      search.Query
	Kinds      []artifact.Kind
	Days       int
	At, Ended  time.Time
	State      ScanState
	Pieces     int // that are in the scope
	Done       int
	Bytes      int64
	Hits       []EvidenceHit
	// Lacks are the pieces that were not searched wholly.
	Lacks map[ScanLack][]evidence.Item
	// Gone are hits that are not told any more, for the bytes were disposed of.
	Gone int
	// Numbers are those of incidents, and Names the names of endpoints, of what was found.
	Numbers, Names map[string]string
	// Finished is closed when the search has ended.
	Finished <-chan struct{}
}

// running is one search while it is kept.
type evidenceScan struct {
	mu     sync.Mutex
	now    EvidenceSearch
	owner  string // kind and identifier of who asked
	org    string
	cancel context.CancelFunc
}

// scans are the searches in evidence. They are nowhere but in memory: what evidence says is
// kept encrypted and can be disposed of, and its parts are not copied elsewhere.
type scans struct {
	bounds ScanBounds
	mu     sync.Mutex
	m      map[string]*evidenceScan
}

func newScans(b ScanBounds) *scans {
	if b == (ScanBounds{}) {
		b = DefaultScanBounds()
	}
	return &scans{bounds: b, m: map[string]*evidenceScan{}}
}

// add takes a search if there is room for it.
func (k *scans) add(sc *evidenceScan, now time.Time) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	running := 0
	var ended []*EvidenceSearch
	for _, other := range k.m {
		other.mu.Lock()
		of := other.now
		other.mu.Unlock()
		switch {
		case of.State == ScanRunning && other.owner == sc.owner:
			return false
		case of.State == ScanRunning:
			running++
		case now.Sub(of.Ended) >= k.bounds.Age:
			delete(k.m, of.ID)
		default:
			ended = append(ended, &of)
		}
	}
	if running >= k.bounds.AtOnce {
		return false
	}
	slices.SortFunc(ended, func(a, b *EvidenceSearch) int { return a.Ended.Compare(b.Ended) })
	for len(ended) > 0 && len(k.m) >= k.bounds.Kept {
		delete(k.m, ended[0].ID)
		ended = ended[1:]
	}
	k.m[sc.now.ID] = sc
	return true
}

func (k *scans) forget(searchID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.m, searchID)
}

// dispose forgets what was found in an acquisition whose bytes go.
func (k *scans) dispose(acquisitionID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, sc := range k.m {
		sc.mu.Lock()
		n := len(sc.now.Hits)
		// A slice that was handed out stays as it is.
		sc.now.Hits = slices.DeleteFunc(slices.Clone(sc.now.Hits), func(h EvidenceHit) bool { return h.Item.AcquisitionID == acquisitionID })
		sc.now.Gone += n - len(sc.now.Hits)
		sc.mu.Unlock()
	}
}

// of returns the searches of the person who acts, or for whom a program does.
func (k *scans) of(a Actor, now time.Time) []*evidenceScan {
	k.mu.Lock()
	defer k.mu.Unlock()
	var list []*evidenceScan
	for searchID, sc := range k.m {
		sc.mu.Lock()
		old := sc.now.State != ScanRunning && now.Sub(sc.now.Ended) >= k.bounds.Age
		sc.mu.Unlock()
		if old {
			delete(k.m, searchID)
		} else if sc.owner == ownerOf(a) && sc.org == a.OrganisationID {
			list = append(list, sc)
		}
	}
	return list
}

func ownerOf(a Actor) string { return string(a.Kind) + " " + a.ID }

// SearchEvidence begins to look for words in the contents of evidence, and returns at once.
// Who looks for what stands in the ledger before the first byte is read. It is [ErrBusy] while
// others, or the actor's own, go on.
func (s *Acts) SearchEvidence(ctx context.Context, a Actor, n NewEvidenceSearch) (EvidenceSearch, error) {
	who, err := s.identify(ctx, s.db.Read(), a, mayOpenEvidence)
	if err != nil {
		return EvidenceSearch{}, err
	}
	q := search.Parse(n.Text)
	if err := n.check(q); err != nil {
		return EvidenceSearch{}, err
	}
	if n.IncidentID == "" && who.only != nil {
		return EvidenceSearch{}, &Invalid{Field: "incident", Code: "required", Err: errors.New("somebody from outside searches in one incident")}
	}
	var inc incident.Incident
	if n.IncidentID != "" {
		inc, err = incident.Find(ctx, s.db.Read(), who.OrganisationID, n.IncidentID)
		if err == nil {
			err = who.within(inc.ID)
		}
		if err != nil {
			return EvidenceSearch{}, known(err)
		}
	}
	items, err := s.evidence.Items(ctx, evidence.ItemFilter{OrganisationID: who.OrganisationID, IncidentID: inc.ID})
	if err != nil {
		return EvidenceSearch{}, err
	}
	now := s.now()
	items = slices.DeleteFunc(items, func(it evidence.Item) bool {
		return len(n.Kinds) > 0 && !slices.Contains(n.Kinds, it.Kind) || n.Days > 0 && it.ReceivedAt.Before(now.AddDate(0, 0, -n.Days))
	})
	slices.Reverse(items) // the newest first: bounds cut what is old
	done := make(chan struct{})
	run, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.scans.bounds.Time)
	sc := &evidenceScan{owner: ownerOf(who), org: who.OrganisationID, cancel: cancel, now: EvidenceSearch{ID: id.New(id.EvidenceSearch), IncidentID: inc.ID, Query: q, Kinds: n.Kinds,
		Days: n.Days, At: now, State: ScanRunning, Pieces: len(items), Lacks: map[ScanLack][]evidence.Item{}, Finished: done}}
	if !s.scans.add(sc, now) {
		cancel()
		return EvidenceSearch{}, ErrBusy
	}
	if err := s.searchBegun(ctx, a, inc, sc.snapshot()); err != nil {
		cancel()
		s.scans.forget(sc.now.ID)
		return EvidenceSearch{}, err
	}
	go func() {
		defer close(done)
		defer cancel()
		defer s.hub.publish(who.OrganisationID, Event{Kind: EventEvidence, IncidentID: inc.ID}) // so that the page that waits looks again
		s.scan(run, a, sc, items)
		time.AfterFunc(s.scans.bounds.Age, func() { s.scans.forget(sc.now.ID) })
	}()
	return sc.snapshot(), nil
}

func (n NewEvidenceSearch) check(q search.Query) error {
	invalid := func(field, code, err string) error {
		return &Invalid{Field: field, Code: code, Err: errors.New(err)}
	}
	switch {
	case q.Empty():
		return invalid("text", "required", "there is nothing to look for")
	case len([]rune(n.Text)) > search.MaxText || len(strings.Fields(q.Text)) > search.MaxWords:
		return invalid("text", "too_long", "more than is looked for")
	case len(n.Kinds) > maxScanKinds || slices.ContainsFunc(n.Kinds, func(k artifact.Kind) bool { return !slices.Contains(ScanKinds(), k) }):
		return invalid("kinds", "unknown", "there is no such kind with records")
	case n.Days < 0 || n.Days > maxScanDays:
		return invalid("days", "range", "0 to 3650 days")
	}
	return nil
}

// searchBegun records that somebody looks for words in evidence. The words stand in the
// ledger, which few read, and not in the timeline: a search is as personal as what it finds.
func (s *Acts) searchBegun(ctx context.Context, a Actor, inc incident.Incident, of EvidenceSearch) error {
	return s.write(ctx, a, mayOpenEvidence, func(ctx context.Context, d *deed) error {
		subject := cmp.Or(inc.ID, d.actor.OrganisationID)
		if inc.ID != "" {
			if err := d.reach(inc.ID); err != nil {
				return err
			}
		}
		facts := map[string]string{"search": of.ID, "words": of.Query.Text, "number": inc.Number, "items": strconv.Itoa(of.Pieces)}
		if of.Days > 0 {
			facts["days"] = strconv.Itoa(of.Days)
		}
		var kinds []string
		for _, k := range of.Kinds {
			kinds = append(kinds, string(k))
		}
		facts["kinds"] = strings.Join(kinds, " ")
		idx, err := d.record(ctx, actSearchEvidence, subject, facts)
		if err != nil || inc.ID == "" {
			return err
		}
		return s.line(ctx, d, inc, "", incident.Entry{Kind: incident.EntrySearch, Params: map[string]string{"n": strconv.Itoa(of.Pieces)}, LedgerIdx: idx})
	})
}

// scan looks into one piece after the other.
func (s *Acts) scan(ctx context.Context, a Actor, sc *evidenceScan, items []evidence.Item) {
	end := ScanDone
	for i, it := range items {
		who, err := s.identify(context.WithoutCancel(ctx), s.db.Read(), a, mayOpenEvidence)
		if err == nil {
			err = who.within(it.IncidentID)
		}
		n := sc.snapshot()
		switch {
		case err != nil:
			end = ScanBarred
		case errors.Is(ctx.Err(), context.Canceled):
			end = ScanCancelled
		case ctx.Err() != nil || n.Bytes >= s.scans.bounds.Bytes || len(n.Hits)+n.Gone >= s.scans.bounds.Hits:
			end = ScanCut
		}
		if end != ScanDone {
			sc.change(func(now *EvidenceSearch) { now.Lacks[LackNotReached] = append(now.Lacks[LackNotReached], items[i:]...) })
			break
		}
		lacks := s.scanOne(ctx, who, sc, it, n)
		sc.change(func(now *EvidenceSearch) {
			now.Done++
			for _, l := range lacks {
				now.Lacks[l] = append(now.Lacks[l], it)
			}
		})
	}
	sc.change(func(now *EvidenceSearch) {
		if end == ScanDone && len(now.Lacks[LackNotReached]) > 0 { // the last piece was cut short
			end = ScanCut
			if errors.Is(ctx.Err(), context.Canceled) {
				end = ScanCancelled
			}
		}
		now.State, now.Ended = end, s.now()
		if end == ScanBarred {
			now.Hits = nil
		}
	})
}

// scanOne looks into one piece while none is disposed of, and returns what it could not read.
func (s *Acts) scanOne(ctx context.Context, who Actor, sc *evidenceScan, it evidence.Item, n EvidenceSearch) (lacks []ScanLack) {
	s.kept.RLock()
	defer s.kept.RUnlock()
	it, err := s.evidence.Item(context.WithoutCancel(ctx), who.OrganisationID, it.ID) // as it is now
	switch {
	case err != nil || who.within(it.IncidentID) != nil:
		return []ScanLack{LackUnreadable}
	case !it.DisposedAt.IsZero():
		return []ScanLack{LackDisposed}
	case it.Kind.Form() != artifact.FormLines:
		return []ScanLack{LackForm}
	}
	f, err := s.evidence.Open(ctx, it)
	if err != nil {
		return []ScanLack{lackOf(ctx)}
	}
	defer f.Close()
	b := s.scans.bounds
	l := scan.Limits{Plain: min(b.Piece, b.Bytes-n.Bytes), Line: b.Line, Hits: min(b.PieceHit, b.Hits-len(n.Hits)-n.Gone)}
	r, err := scan.Lines(ctx, it.Name, f, n.Query, l, func(h scan.Hit) {
		sc.change(func(now *EvidenceSearch) { now.Hits = append(now.Hits, EvidenceHit{it, h}) })
	})
	sc.change(func(now *EvidenceSearch) { now.Bytes += r.Bytes })
	if r.Long > 0 {
		lacks = append(lacks, LackLines)
	}
	switch {
	case err != nil:
		lacks = append(lacks, lackOf(ctx))
	case r.Cut && r.Hits == l.Hits:
		lacks = append(lacks, LackHits)
	case r.Cut:
		lacks = append(lacks, LackPiece)
	}
	return lacks
}

// lackOf is why a piece was not read to its end.
func lackOf(ctx context.Context) ScanLack {
	if ctx.Err() != nil {
		return LackNotReached
	}
	return LackUnreadable
}

func (sc *evidenceScan) change(f func(now *EvidenceSearch)) {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	f(&sc.now)
}

func (sc *evidenceScan) snapshot() EvidenceSearch {
	sc.mu.Lock()
	defer sc.mu.Unlock()
	n := sc.now
	n.Hits = slices.Clone(n.Hits)
	n.Lacks = map[ScanLack][]evidence.Item{}
	for l, items := range sc.now.Lacks {
		n.Lacks[l] = slices.Clone(items)
	}
	return n
}

// ownScan finds a search of the actor's own.
func (s *Acts) ownScan(ctx context.Context, a Actor, searchID string) (Actor, *evidenceScan, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayOpenEvidence)
	if err != nil {
		return a, nil, err
	}
	for _, sc := range s.scans.of(a, s.now()) {
		if sc.now.ID == searchID {
			return a, sc, nil
		}
	}
	return a, nil, ErrNotFound
}

// EvidenceSearch returns a search of the actor's own and what it found so far. What was
// disposed of since, or is not granted any more, is not told.
func (s *Acts) EvidenceSearch(ctx context.Context, a Actor, searchID string) (EvidenceSearch, error) {
	a, sc, err := s.ownScan(ctx, a, searchID)
	if err != nil {
		return EvidenceSearch{}, err
	}
	n := sc.snapshot()
	if err := a.within(n.IncidentID); err != nil {
		return EvidenceSearch{}, err
	}
	now := map[string]evidence.Item{}
	kept := n.Hits[:0]
	var incidents, endpoints []string
	for _, h := range n.Hits {
		it, ok := now[h.Item.ID]
		if !ok {
			if it, err = s.evidence.Item(ctx, a.OrganisationID, h.Item.ID); err != nil {
				return EvidenceSearch{}, known(err)
			}
			now[it.ID] = it
		}
		if a.within(it.IncidentID) != nil {
			continue
		}
		if !it.DisposedAt.IsZero() {
			n.Gone++
			continue
		}
		kept = append(kept, EvidenceHit{it, h.Hit})
		incidents, endpoints = append(incidents, it.IncidentID), append(endpoints, it.EndpointID)
	}
	n.Hits, n.Numbers, n.Names = kept, map[string]string{}, map[string]string{}
	if err := incident.Numbers(ctx, s.db.Read(), a.OrganisationID, distinct(append(incidents, n.IncidentID)), n.Numbers); err != nil {
		return EvidenceSearch{}, known(err)
	}
	return n, known(endpoint.Names(ctx, s.db.Read(), a.OrganisationID, distinct(endpoints), n.Names))
}

// EvidenceSearches returns the actor's own searches that are kept, newest first, without hits.
func (s *Acts) EvidenceSearches(ctx context.Context, a Actor) ([]EvidenceSearch, error) {
	a, err := s.identify(ctx, s.db.Read(), a, mayOpenEvidence)
	if err != nil {
		return nil, err
	}
	var list []EvidenceSearch
	for _, sc := range s.scans.of(a, s.now()) {
		n := sc.snapshot()
		if a.within(n.IncidentID) != nil {
			continue
		}
		n.Hits, n.Lacks = nil, nil
		list = append(list, n)
	}
	slices.SortFunc(list, func(a, b EvidenceSearch) int { return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.ID, a.ID)) })
	return list, nil
}

// CancelEvidenceSearch ends a search of the actor's own; what it found stays.
func (s *Acts) CancelEvidenceSearch(ctx context.Context, a Actor, searchID string) error {
	_, sc, err := s.ownScan(ctx, a, searchID)
	if err == nil {
		sc.cancel()
	}
	return err
}

// ScanKinds are the kinds of evidence in whose records words are looked for.
func ScanKinds() []artifact.Kind {
	return []artifact.Kind{artifact.KindProcess, artifact.KindNetConn, artifact.KindFlight, artifact.KindExeHash, artifact.KindOpenFile, artifact.KindSession, artifact.KindLogin, artifact.KindHistory, artifact.KindLogFile,
		artifact.KindBodyFile, artifact.KindAutostart, artifact.KindStartFile, artifact.KindUserFile, artifact.KindRansomNote, artifact.KindFileStat, artifact.KindDNSCache, artifact.KindNetConfig, artifact.KindConntrack,
		artifact.KindNetfilter, artifact.KindSevered, artifact.KindProcState, artifact.KindProcEnv, artifact.KindProcMap, artifact.KindProcIO, artifact.KindDeletedExe, artifact.KindFileLock, artifact.KindShared, artifact.KindCrossView,
		artifact.KindNamespace, artifact.KindKmod, artifact.KindBPF, artifact.KindKernLog, artifact.KindSysctl, artifact.KindKeyring, artifact.KindSecurity, artifact.KindPkgCheck, artifact.KindStorage, artifact.KindUSB, artifact.KindBackup,
		artifact.KindHostInfo, artifact.KindClock, artifact.KindBoot, artifact.KindShutdown, artifact.KindPreserve, artifact.KindIsolation, artifact.KindSelfTest, artifact.KindKit, artifact.KindFootprint, artifact.KindMemRange,
		artifact.KindKernel, artifact.KindProcDumped}
}
