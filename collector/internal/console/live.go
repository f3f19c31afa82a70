package console

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"hozen/collector/internal/act"
	"hozen/internal/i18n"
)

// heartbeat keeps proxies from closing a quiet stream, and is how often it is checked
// that whoever listens may still do so.
const heartbeat = 20 * time.Second

// news is one line of the live stream. It names what changed; the page then asks for
// itself again. Only progress, which is stored nowhere, carries what to show.
type news struct {
	Kind     string `json:"kind"`
	Endpoint string `json:"endpoint,omitempty"`
	Incident string `json:"incident,omitempty"`
	Text     string `json:"text,omitempty"`
	Done     uint32 `json:"done,omitempty"`
	Total    uint32 `json:"total,omitempty"`
}

// liveStream sends what changes as server-sent events (WHATWG HTML, 9.2).
func (s *server) liveStream(v *visit) error {
	if !s.streams.enter(v.operator.ID) {
		v.w.Header().Set("Retry-After", "60")
		http.Error(v.w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
		return nil
	}
	defer s.streams.leave(v.operator.ID)
	events, cancel, err := s.live.Listen(v.ctx(), v.actor)
	if err != nil {
		return err
	}
	defer cancel()

	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	c := http.NewResponseController(v.w)
	send := func(format string, args ...any) bool {
		if err := c.SetWriteDeadline(time.Now().Add(heartbeat)); err != nil {
			return false // a server that cannot be timed would be held by a dead browser for ever
		}
		if _, err := fmt.Fprintf(v.w, format, args...); err != nil {
			return false
		}
		return c.Flush() == nil
	}
	if !send("retry: 3000\n\n") {
		return nil
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	endpointID, incidentID := v.r.URL.Query().Get("endpoint"), v.r.URL.Query().Get("incident")
	for {
		select {
		case <-v.ctx().Done():
			return nil
		case <-beat.C:
			if !s.stillSignedIn(v) || !send(": still here\n\n") {
				return nil
			}
		case e, ok := <-events:
			if !ok {
				return nil
			}
			if endpointID != "" && e.EndpointID != endpointID || incidentID != "" && e.IncidentID != "" && e.IncidentID != incidentID {
				continue
			}
			line, err := json.Marshal(tell(v.text, e))
			if err != nil {
				return nil // text and numbers always have JSON
			}
			if !send("data: %s\n\n", line) {
				return nil
			}
		}
	}
}

func tell(p i18n.Printer, e act.Event) news {
	n := news{Kind: string(e.Kind), Endpoint: e.EndpointID, Incident: e.IncidentID}
	if e.Progress != nil {
		n.Done, n.Total, n.Text = e.Progress.Done, e.Progress.Total, sayProgress(p, *e.Progress)
	}
	return n
}

// stillSignedIn asks the session store anew: the session that the request was loaded
// with is a copy from when the stream began.
func (s *server) stillSignedIn(v *visit) bool {
	cookie, err := v.r.Cookie(s.sessions.Cookie.Name)
	if err != nil {
		return false
	}
	ctx, err := s.sessions.Load(v.r.Context(), cookie.Value)
	if err != nil {
		return false
	}
	op, err := s.people.OperatorByID(ctx, s.sessions.GetString(ctx, keyOperator))
	return err == nil && op.ID == v.operator.ID && op.DisabledAt.IsZero()
}
