package act

import "sync"

// EventKind says what an [Event] is about.
type EventKind string

// The kinds of events.
const (
	EventEndpoint EventKind = "endpoint" // connected, gone, isolation changed, enrolled, revoked, or an enrolment waits
	EventCommand  EventKind = "command"  // ordered, acknowledged or finished
	EventProgress EventKind = "progress" // a running acquisition has come further
	EventIncident EventKind = "incident" // opened, closed, or its timeline grew
	EventEvidence EventKind = "evidence" // evidence was accepted or refused
)

// Event tells that something changed. It carries names, not state: whoever hears
// it reads the state anew, so a lost event costs freshness and never truth.
type Event struct {
	Kind       EventKind
	EndpointID string
	IncidentID string    // may be empty
	Progress   *Progress // of EventProgress
}

// Progress is how far a running acquisition has come, as the agent says.
type Progress struct {
	AcquisitionID, CommandID, AlertID, Kind string
	Done, Total                             uint32
	Records                                 uint64
	// Of a probe that takes long: bytes written, of so many (0: nobody knows), a second.
	Bytes, Expected, Rate uint64
	Sealed                bool
}

// eventBuffer is how many events a slow listener may lag behind; then the oldest go.
const eventBuffer = 64

// Hub carries live news between the streams of agents and the pages of operators.
// It keeps nothing: what must not be lost is in the database before the Hub hears
// of it. Its methods never block and are safe for concurrent use.
type Hub struct {
	mu        sync.Mutex
	streams   map[string]map[*stream]struct{}    // endpoint → live control streams
	listeners map[string]map[chan Event]struct{} // organisation → listeners
	known     map[string]endpointHint            // endpoint → where its news go
	running   map[string]Progress                // online endpoint → what it said last of an acquisition that is not sealed
}

type stream struct {
	wake    chan struct{}
	revoked chan struct{}
	cut     bool
}

// endpointHint is what progress reports, which carry neither, are tied to.
type endpointHint struct{ organisationID, incidentID string }

// NewHub returns an empty Hub.
func NewHub() *Hub {
	return &Hub{
		streams:   map[string]map[*stream]struct{}{},
		listeners: map[string]map[chan Event]struct{}{},
		known:     map[string]endpointHint{},
		running:   map[string]Progress{},
	}
}

// SubscribeEndpoint registers a live control stream; the endpoint counts as online
// until cancel. wake receives when there may be new commands or an incident was opened
// or closed (many wakes may melt into one); revoked is closed when the endpoint must be cut off at once. cancel
// may be called more than once.
func (h *Hub) SubscribeEndpoint(endpointID string) (wake, revoked <-chan struct{}, cancel func()) {
	s := &stream{wake: make(chan struct{}, 1), revoked: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams[endpointID] == nil {
		h.streams[endpointID] = map[*stream]struct{}{}
	}
	h.streams[endpointID][s] = struct{}{}
	return s.wake, s.revoked, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.streams[endpointID], s)
		if len(h.streams[endpointID]) == 0 {
			delete(h.streams, endpointID)
			delete(h.running, endpointID)
		}
	}
}

// Online reports whether the endpoint has a live control stream.
func (h *Hub) Online(endpointID string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.streams[endpointID]) > 0
}

// Subscribe returns the events of one organisation from now on. A listener that
// lags more than a buffer behind loses the oldest events. cancel closes the channel
// and may be called more than once.
func (h *Hub) Subscribe(organisationID string) (<-chan Event, func()) {
	c := make(chan Event, eventBuffer)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[organisationID] == nil {
		h.listeners[organisationID] = map[chan Event]struct{}{}
	}
	h.listeners[organisationID][c] = struct{}{}
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if _, ok := h.listeners[organisationID][c]; !ok {
			return
		}
		delete(h.listeners[organisationID], c)
		if len(h.listeners[organisationID]) == 0 {
			delete(h.listeners, organisationID)
		}
		close(c)
	}
}

// Progress passes on what an agent says of a running acquisition. Reports of an
// endpoint that has not connected in this process's life go nowhere.
func (h *Hub) Progress(endpointID string, p Progress) {
	h.mu.Lock()
	defer h.mu.Unlock()
	hint, ok := h.known[endpointID]
	if !ok {
		return
	}
	if p.Sealed || len(h.streams[endpointID]) == 0 {
		delete(h.running, endpointID)
	} else {
		h.running[endpointID] = p
	}
	h.send(hint.organisationID, Event{Kind: EventProgress, EndpointID: endpointID, IncidentID: hint.incidentID, Progress: &p})
}

// Running returns what an endpoint that is online said last of the acquisition that a command
// ordered and that is not sealed yet; false when there is nothing of the kind.
func (h *Hub) Running(endpointID, commandID string) (Progress, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p, ok := h.running[endpointID]
	return p, ok && p.CommandID == commandID
}

// publish tells the listeners of an organisation and remembers which incident an
// endpoint was last in, for its progress reports.
func (h *Hub) publish(organisationID string, e Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if e.EndpointID != "" {
		hint := h.known[e.EndpointID]
		hint.organisationID = organisationID
		if e.IncidentID != "" {
			hint.incidentID = e.IncidentID
		}
		h.known[e.EndpointID] = hint
	}
	h.send(organisationID, e)
}

// organisationOf names the organisation of an endpoint that connected in this process's life;
// empty for others.
func (h *Hub) organisationOf(endpointID string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[endpointID].organisationID
}

// wakeAll wakes every endpoint of an organisation.
func (h *Hub) wakeAll(organisationID string) {
	h.mu.Lock()
	var ids []string
	for id := range h.streams {
		if hint, ok := h.known[id]; !ok || hint.organisationID == organisationID {
			ids = append(ids, id)
		}
	}
	h.mu.Unlock()
	for _, id := range ids {
		h.wake(id)
	}
}

// wake asks the streams of an endpoint to look for commands and open incidents.
func (h *Hub) wake(endpointID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams[endpointID] {
		select {
		case s.wake <- struct{}{}:
		default: // a wake is already waiting
		}
	}
}

// revoke cuts the streams of an endpoint.
func (h *Hub) revoke(endpointID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.streams[endpointID] {
		if !s.cut {
			s.cut = true
			close(s.revoked)
		}
	}
}

// send needs h.mu, which also keeps a channel from being closed meanwhile.
func (h *Hub) send(organisationID string, e Event) {
	for c := range h.listeners[organisationID] {
		for sent := false; !sent; {
			select {
			case c <- e:
				sent = true
			default:
				select {
				case <-c: // the oldest goes
				default:
				}
			}
		}
	}
}
