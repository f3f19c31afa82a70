package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/internal/artifact"
	"hozen/internal/profile"
)

// routes is the whole table. What is done stands in the acts, which the console calls too.
func routes() []route {
	const get, post = http.MethodGet, http.MethodPost
	self := does(get, "/openapi.json", "getDocument", "This document", "", http.StatusOK, func(_ context.Context, c *call, _ None) (json.RawMessage, error) { return c.doc, nil })
	self.open = true
	content := does(get, "/evidence/{id}/content", "downloadEvidence", "The stored bytes of a piece of evidence, exactly as they were received; who downloaded them stands in the ledger first",
		act.ScopeEvidence, http.StatusOK, download)
	content.stream = true
	return []route{
		self,
		does(get, "/me", "getMe", "On whose behalf the token acts, and what it is for", "", http.StatusOK, me),
		lists("/incidents", "listIncidents", "Incidents, newest first", act.ScopeRead, func(i Incident) string { return i.ID }, listIncidents),
		does(post, "/incidents", "openIncident", "Open an incident", act.ScopeRecord, http.StatusCreated, openIncident),
		does(get, "/incidents/{id}", "getIncident", "One incident", act.ScopeRead, http.StatusOK, getIncident),
		lists("/incidents/{id}/timeline", "listTimeline", "What was done and seen, oldest first; of very many entries the newest 2,000", act.ScopeRead, entryKey, listTimeline),
		does(post, "/incidents/{id}/timeline", "addNote", "Write into the timeline of an incident, open or closed", act.ScopeRecord, http.StatusCreated, addNote),
		lists("/incidents/{id}/acquisitions", "listAcquisitions", "What endpoints acquired for an incident, newest first", act.ScopeRead, func(a Acquisition) string { return a.ID }, listAcquisitions),
		lists("/incidents/{id}/evidence", "listEvidence", "The evidence of an incident, by its numbers", act.ScopeRead, func(e Evidence) string { return e.ID }, listEvidence),
		does(get, "/evidence/{id}", "getEvidence", "What is known of a piece of evidence", act.ScopeRead, http.StatusOK, getEvidence),
		content,
		lists("/endpoints", "listEndpoints", "PCs and servers", act.ScopeRead, func(e Endpoint) string { return e.ID }, listEndpoints),
		does(get, "/endpoints/{id}", "getEndpoint", "One PC or server", act.ScopeRead, http.StatusOK, getEndpoint),
		does(post, "/endpoints/{id}/acquire", "acquire", "Order evidence to be taken", act.ScopeAcquire, http.StatusAccepted, acquire),
		does(post, "/endpoints/{id}/isolate", "isolate", "Order evidence to be taken and then the network to be cut. The collector's own machine is refused: a person orders that", act.ScopeIsolate, http.StatusAccepted, isolate),
		does(post, "/endpoints/{id}/release", "askRelease", "Ask for the network to be given back. Where the organisation wants two persons for that it waits for one at the console", act.ScopeRelease, http.StatusAccepted, release),
		does(post, "/commands/{id}/withdraw", "withdrawCommand", "Take back an order to isolate that its endpoint has not confirmed: it is never sent then. Where the organisation wants two persons for a release it waits for one at the console; an order that was confirmed is refused and can be released", act.ScopeRelease, http.StatusOK, withdraw),
		lists("/commands", "listCommands", "Orders, newest first, the newest 1,000", act.ScopeRead, func(c Command) string { return c.ID }, listCommands),
		does(get, "/commands/{id}", "getCommand", "One order: ask again until its status is an end", act.ScopeRead, http.StatusOK, getCommand),
		does(get, "/search", "search", "Find words in everything that the role may see, at most 200 things of a kind; decisions and enquiries are not searched", act.ScopeRead, http.StatusOK, find),
		does(post, "/evidence-searches", "searchEvidence", "Begin to look for words in the contents of evidence; who looks for what stands in the ledger first. One search of each person goes on at one time", act.ScopeEvidence, http.StatusAccepted, searchEvidence),
		does(get, "/evidence-searches/{id}", "getEvidenceSearch", "How far a search in the contents of evidence is and what it found: ask again until it is not running. Kept for an hour", act.ScopeEvidence, http.StatusOK, getEvidenceSearch),
		does(post, "/evidence-searches/{id}/cancel", "cancelEvidenceSearch", "End a search in the contents of evidence; what it found stays", act.ScopeEvidence, http.StatusOK, cancelEvidenceSearch),
		does(get, "/ledger/checkpoint", "getCheckpoint", "The custody ledger as it is signed now; roles that may not read the ledger are refused", act.ScopeRead, http.StatusOK, getCheckpoint),
		does(get, "/watch", "getWatch", "Whether the watch itself is alive: silent PCs, the collector's disk, backups, certificates", act.ScopeRead, http.StatusOK, getWatch),
	}
}

// None is an input without fields.
type None struct{}

// ByID names one thing.
type ByID struct {
	ID string `json:"-" path:"id" doc:"identifier; of incidents and evidence the number too"`
}

func me(_ context.Context, c *call, _ None) (Me, error) {
	t := c.token
	return Me{t.ID, t.Name, strings.TrimSuffix(c.actor.Name, " (API: "+t.Name+")"), string(c.actor.Role), t.Scopes, t.ExpiresAt}, nil
}

// IncidentsAsked narrows the list of incidents.
type IncidentsAsked struct {
	Paging
	State OpenState `json:"-" query:"state" doc:"all if not said"`
}

func listIncidents(ctx context.Context, c *call, in IncidentsAsked) ([]Incident, error) {
	all, err := c.acts.Incidents(ctx, c.actor)
	if err != nil {
		return nil, err
	}
	some := []Incident{}
	for _, i := range all {
		if v := viewIncident(i); in.State == "" || in.State == v.State {
			some = append(some, v)
		}
	}
	return some, nil
}

func getIncident(ctx context.Context, c *call, in ByID) (Incident, error) {
	i, err := c.acts.Incident(ctx, c.actor, in.ID)
	return viewIncident(i), err
}

// NewIncident is an incident to be opened.
type NewIncident struct {
	Title          string                  `json:"title" required:"true" most:"256"`
	Classification incident.Classification `json:"classification,omitempty" doc:"unknown if not said"`
	Reporter       string                  `json:"reporter,omitempty" most:"256" doc:"who noticed; the person behind the token if not said"`
	DiscoveredAt   time.Time               `json:"discovered_at,omitzero" doc:"now if not said"`
	EndpointIDs    []string                `json:"endpoint_ids,omitempty"`
	Join           bool                    `json:"join,omitempty" doc:"join an incident of one of the endpoints that was opened within 30 minutes, where there is one, instead of opening another"`
}

func openIncident(ctx context.Context, c *call, in NewIncident) (Incident, error) {
	i, err := c.acts.OpenIncident(ctx, c.actor, act.NewIncident{Title: in.Title, Classification: in.Classification, Reporter: in.Reporter,
		DiscoveredAt: in.DiscoveredAt, EndpointIDs: in.EndpointIDs, Join: in.Join})
	return viewIncident(i), err
}

// ListOf is a list that belongs to one thing.
type ListOf struct {
	ByID
	Paging
}

// entryKey names an entry of a timeline. The one that stands for those that are not shown has
// no identifier, and a page may end with it.
func entryKey(e Entry) string { return cmp.Or(e.ID, string(incident.EntryOlder)) }

func listTimeline(ctx context.Context, c *call, in ListOf) ([]Entry, error) {
	list, err := c.acts.Timeline(ctx, c.actor, in.ID)
	return views(list, viewEntry), err
}

// NewNote is what goes into a timeline.
type NewNote struct {
	ByID
	Text string `json:"text" required:"true" most:"8192"`
}

// Done says that it was done.
type Done struct {
	Done bool `json:"done"`
}

func addNote(ctx context.Context, c *call, in NewNote) (Done, error) {
	return Done{true}, c.acts.AddNote(ctx, c.actor, in.ID, in.Text)
}

func listAcquisitions(ctx context.Context, c *call, in ListOf) ([]Acquisition, error) {
	list, err := c.acts.Acquisitions(ctx, c.actor, in.ID)
	return views(list, viewAcquisition), err
}

func listEvidence(ctx context.Context, c *call, in ListOf) ([]Evidence, error) {
	list, err := c.acts.Evidence(ctx, c.actor, in.ID)
	return views(list, viewEvidence), err
}

func getEvidence(ctx context.Context, c *call, in ByID) (Evidence, error) {
	i, err := c.acts.EvidenceItem(ctx, c.actor, in.ID)
	return viewEvidence(i), err
}

// downloadStall is how long a download may stand still before it is given up.
const downloadStall = time.Minute

// download answers bytes; nil as the output says that it has answered.
func download(ctx context.Context, c *call, in ByID) (any, error) {
	if c.r.Method == http.MethodHead {
		i, err := c.acts.EvidenceItem(ctx, c.actor, in.ID)
		if err == nil {
			contentHeaders(c.w.Header(), i)
		}
		return nil, err
	}
	item, r, err := c.acts.OpenEvidence(ctx, c.actor, in.ID, act.ToDownload)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	contentHeaders(c.w.Header(), item)
	out := http.NewResponseController(c.w)
	for {
		// An error means that whoever asked went away or that the bytes cannot be read on; the
		// length that was promised tells that the file is not whole.
		_ = out.SetWriteDeadline(time.Now().Add(downloadStall))
		if _, err := io.CopyN(c.w, r, 1<<20); err == io.EOF {
			return nil, nil
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// contentHeaders are those of a download. Its name is made of our own words only.
func contentHeaders(h http.Header, i evidence.Item) {
	name := i.Number
	if name == "" {
		name = i.ID
	}
	name += "_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, path.Base(i.Name))
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Content-Length", strconv.FormatInt(i.StoredSize, 10))
	h.Set("X-Hozen-Stored-Sha256", i.StoredSHA256)
}

func listEndpoints(ctx context.Context, c *call, _ Paging) ([]Endpoint, error) {
	list, err := c.acts.Endpoints(ctx, c.actor)
	return views(list, viewEndpoint), err
}

func getEndpoint(ctx context.Context, c *call, in ByID) (Endpoint, error) {
	e, err := c.acts.Endpoint(ctx, c.actor, in.ID)
	return viewEndpoint(e), err
}

// Order is what every order to an endpoint says.
type Order struct {
	ByID
	Reason     string `json:"reason" required:"true" most:"1024" doc:"why, for the record and for the person at the PC"`
	IncidentID string `json:"incident_id,omitempty" doc:"identifier or number; else the newest open incident of the endpoint, or a new one"`
}

func (o Order) order() act.Order { return act.Order{Reason: o.Reason, IncidentID: o.IncidentID} }

// AcquireOrder says what evidence is to be taken.
type AcquireOrder struct {
	Order
	Profile    Profile `json:"profile,omitempty" doc:"flash if not said"`
	PID        uint32  `json:"pid,omitempty" doc:"take the memory of this process besides what is most volatile (Windows); without profile"`
	StartTicks uint64  `json:"start_ticks,omitempty" doc:"when that process began, as its record says; if another one has the number by now, no memory is taken"`
}

func acquire(ctx context.Context, c *call, in AcquireOrder) (Command, error) {
	o := in.order()
	o.Profile = string(in.Profile)
	switch {
	case in.PID != 0 && in.Profile == "":
		o.Profile = profile.ProcessName(in.PID, in.StartTicks)
	case in.PID != 0 || in.StartTicks != 0:
		return Command{}, &act.Invalid{Field: "pid", Code: "unknown", Err: errors.New("pid goes without profile, and start_ticks with pid")}
	}
	cmd, err := c.acts.Acquire(ctx, c.actor, in.ID, o)
	return viewCommand(cmd), err
}

// IsolateOrder says how a network is to be cut.
type IsolateOrder struct {
	Order
	Until        time.Time `json:"until,omitzero" doc:"when it opens by itself; if not said, somebody has to release it"`
	IsolateFirst bool      `json:"isolate_first,omitempty" doc:"cut first, take evidence afterwards"`
	Drill        bool      `json:"drill,omitempty" doc:"an exercise, which opens by itself"`
}

func isolate(ctx context.Context, c *call, in IsolateOrder) (Command, error) {
	o := in.order()
	o.IsolateFirst, o.Isolation = in.IsolateFirst, dispatch.Isolation{Until: in.Until, Drill: in.Drill}
	cmd, err := c.acts.Isolate(ctx, c.actor, in.ID, o)
	return viewCommand(cmd), err
}

func release(ctx context.Context, c *call, in Order) (Released, error) {
	cmd, err := c.acts.Release(ctx, c.actor, in.ID, in.order())
	if waits, ok := errors.AsType[*act.SecondPerson](err); ok {
		return Released{State: ReleaseWaits, AskedBy: waits.Asked.AskedName, AskedAt: waits.Asked.AskedAt}, nil
	}
	v := viewCommand(cmd)
	return Released{State: ReleaseOrdered, Command: &v}, err
}

// Withdraw says which order is taken back, and why.
type Withdraw struct {
	ByID
	Reason string `json:"reason" required:"true" most:"1024" doc:"why, for the record"`
}

func withdraw(ctx context.Context, c *call, in Withdraw) (Released, error) {
	err := c.acts.Withdraw(ctx, c.actor, in.ID, in.Reason)
	if waits, ok := errors.AsType[*act.SecondPerson](err); ok {
		return Released{State: ReleaseWaits, AskedBy: waits.Asked.AskedName, AskedAt: waits.Asked.AskedAt}, nil
	}
	return Released{State: ReleaseWithdrawn}, err
}

// CommandsAsked narrows the list of orders.
type CommandsAsked struct {
	Paging
	EndpointID string `json:"-" query:"endpoint_id"`
	IncidentID string `json:"-" query:"incident_id" doc:"identifier or number"`
}

func listCommands(ctx context.Context, c *call, in CommandsAsked) ([]Command, error) {
	list, err := c.acts.Commands(ctx, c.actor, act.CommandFilter{EndpointID: in.EndpointID, IncidentID: in.IncidentID, Limit: 1000})
	return views(list, viewCommand), err
}

func getCommand(ctx context.Context, c *call, in ByID) (Command, error) {
	cmd, err := c.acts.Command(ctx, c.actor, in.ID)
	return viewCommand(cmd), err
}

// SearchAsked is what is searched for.
type SearchAsked struct {
	Q  string      `json:"-" query:"q" required:"true" doc:"words, all of which must be found in a thing; or the beginning of an identifier or digest"`
	In act.HitKind `json:"-" query:"in" doc:"one kind of thing; all if not said"`
}

func find(ctx context.Context, c *call, in SearchAsked) (Search, error) {
	f, err := c.acts.Search(ctx, c.actor, in.Q, in.In)
	return viewSearch(f), err
}

// EvidenceSearchAsked is what is looked for in the contents of evidence.
type EvidenceSearchAsked struct {
	Text       string          `json:"text" required:"true" doc:"words, all of which must stand in one record"`
	IncidentID string          `json:"incident_id,omitempty" doc:"identifier or number; all evidence if not said"`
	Kinds      []artifact.Kind `json:"kinds,omitempty" doc:"kinds of evidence; all if not said"`
	Days       int             `json:"days,omitempty" doc:"received within so many days; whenever if not said"`
}

func searchEvidence(ctx context.Context, c *call, in EvidenceSearchAsked) (EvidenceSearch, error) {
	f, err := c.acts.SearchEvidence(ctx, c.actor, act.NewEvidenceSearch{Text: in.Text, IncidentID: in.IncidentID, Kinds: in.Kinds, Days: in.Days})
	return viewEvidenceSearch(f), err
}

func getEvidenceSearch(ctx context.Context, c *call, in ByID) (EvidenceSearch, error) {
	f, err := c.acts.EvidenceSearch(ctx, c.actor, in.ID)
	return viewEvidenceSearch(f), err
}

func cancelEvidenceSearch(ctx context.Context, c *call, in ByID) (EvidenceSearch, error) {
	if err := c.acts.CancelEvidenceSearch(ctx, c.actor, in.ID); err != nil {
		return EvidenceSearch{}, err
	}
	return getEvidenceSearch(ctx, c, in)
}

func getCheckpoint(ctx context.Context, c *call, _ None) (Checkpoint, error) {
	signed, err := c.acts.LedgerSigned(ctx, c.actor)
	if err != nil {
		return Checkpoint{}, err
	}
	return viewCheckpoint(signed), nil
}

func getWatch(ctx context.Context, c *call, _ None) (Watch, error) {
	list, err := c.acts.Watch(ctx, c.actor)
	return viewWatch(list), err
}
