package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/internal/buildinfo"
)

// Times of a connection. Answers take as long as they take: who waits for a command
// waits for days.
const (
	headerTime  = 10 * time.Second
	requestTime = 30 * time.Second // from the first byte of a request to its last
	idleTime    = 2 * time.Minute  // between two requests
)

// Config is what a Server is made of.
type Config struct {
	Acts *act.Acts
	// Collector is what the collector says of itself in "status".
	Collector Status
	Log       *slog.Logger // Optional
}

// Status is what the collector says of itself.
type Status struct {
	Name      string   `json:"name"`
	Version   string   `json:"version"`
	Addresses []string `json:"addresses"`
	Agents    string   `json:"agents"`  // where it listens
	Console   string   `json:"console"` // URL
	CASHA256  string   `json:"ca_sha256"`
	// Ledger says how ledgers do not go on from what was signed of them before; mostly empty.
	Ledger []LedgerDifference `json:"ledger,omitempty"`
	// Outside says how those outside go who speak for the ledger.
	Outside Outside `json:"outside,omitzero"`
}

// Server answers at the local socket.
type Server struct {
	cfg  Config
	http *http.Server
}

// New returns a server that is ready for [Server.Serve].
func New(cfg Config) (*Server, error) {
	if cfg.Acts == nil {
		return nil, errors.New("make local socket: Acts is required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Collector.Version == "" {
		cfg.Collector.Version = buildinfo.Get().Version
	}
	s := &Server{cfg: cfg}
	s.http = &http.Server{
		Handler: http.HandlerFunc(s.handle), MaxHeaderBytes: 16 << 10,
		ReadHeaderTimeout: headerTime, ReadTimeout: requestTime, IdleTimeout: idleTime,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, peerKey{}, peerOf(c))
		},
		ErrorLog: slog.NewLogLogger(cfg.Log.Handler(), slog.LevelWarn),
	}
	return s, nil
}

// Listen opens the socket at path with mode 0660 and takes over one that a dead
// collector left behind. The caller makes sure that no other collector serves (see
// [Lock]). On Windows a named pipe stands for it, which administrators alone reach.
func Listen(path string) (net.Listener, error) { return listen(path) }

// Serve answers on l until [Server.Shutdown].
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve local socket: %w", err)
	}
	return nil
}

// Shutdown lets calls end until ctx does, then cuts them.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return s.http.Close()
	}
	return nil
}

type peerKey struct{}

// peer is the process at the other end of the socket, as the kernel says.
type peer struct {
	known bool
	uid   int
	sid   string // on Windows, where uid is 0 for administrators
}

func (p peer) String() string {
	if !p.known {
		return "local"
	}
	return "local " + p.name()
}

// name is how the ledger calls the peer.
func (p peer) name() string {
	if p.sid != "" {
		return p.sid
	}
	return fmt.Sprintf("uid %d", p.uid)
}

// call is one call.
type call struct {
	s     *Server
	acts  *act.Acts
	peer  peer
	token string
	actor act.Actor
	body  json.RawMessage
	w     http.ResponseWriter
}

// verb is one entry of the table.
type verb struct {
	open   bool // needs no sign-in
	answer func(ctx context.Context, c *call) (any, error)
	stream func(ctx context.Context, c *call, emit func(any) error) (any, error)
	bytes  func(ctx context.Context, c *call) (io.ReadCloser, error)
	pour   func(ctx context.Context, c *call, w io.Writer) error
	take   func(ctx context.Context, c *call, bytes io.Reader) (any, error)
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	name, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	v, known := verbs()[name]
	if !ok || !known || r.Method != http.MethodPost {
		s.fail(ctx, w, name, fmt.Errorf("%w: no verb %.40q; is the collector of the same version?", act.ErrNotFound, name))
		return
	}
	p, _ := ctx.Value(peerKey{}).(peer)
	c := &call{s: s, acts: s.cfg.Acts, peer: p, w: w}
	if v.take != nil {
		c.token = strings.TrimPrefix(r.Header.Get(headerAuthorization), "Bearer ")
		s.taking(w, r, name, v, c)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		s.fail(ctx, w, name, invalid("body", "too_long", "read request: %w", err))
		return
	}
	// The request is whole: from now on a read waits for the client's end alone.
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		s.cfg.Log.DebugContext(ctx, "local call keeps the time of its request", slog.Any("error", err))
	}
	c.body = body
	c.token = strings.TrimPrefix(r.Header.Get(headerAuthorization), "Bearer ")
	if !v.open {
		if err := c.identify(ctx, r.Header.Get(headerBreakGlass)); err != nil {
			s.fail(ctx, w, name, err)
			return
		}
	}
	switch {
	case v.stream != nil:
		s.stream(ctx, w, name, func(emit func(any) error) (any, error) { return v.stream(ctx, c, emit) })
	case v.pour != nil:
		out := &poured{w: w}
		err := v.pour(ctx, c, out)
		if err != nil && !out.begun {
			s.fail(ctx, w, name, err)
			return
		}
		s.end(ctx, w, name, err)
	case v.bytes != nil:
		f, err := v.bytes(ctx, c)
		if err != nil {
			s.fail(ctx, w, name, err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		if _, err := io.Copy(w, f); err != nil {
			// The client sees that the answer is cut off; nothing else can be said now.
			s.cfg.Log.WarnContext(ctx, "sending evidence", slog.String("verb", name), slog.Any("error", err))
			panic(http.ErrAbortHandler)
		}
	default:
		out, err := v.answer(ctx, c)
		if err != nil {
			s.fail(ctx, w, name, err)
			return
		}
		s.write(w, http.StatusOK, answer{Result: marshal(out)})
	}
}

// identify finds out on whose behalf a call is made.
func (c *call) identify(ctx context.Context, breakGlass string) error {
	if breakGlass != "" {
		reason, err := url.QueryUnescape(breakGlass)
		if err != nil || strings.TrimSpace(reason) == "" || len(reason) > 1024 {
			return invalid("break_glass", "malformed", "want a reason of at most 1024 bytes")
		}
		if !c.peer.known || c.peer.uid != 0 && c.peer.uid != os.Geteuid() {
			return fmt.Errorf("%w: only root and the collector's own user may break the glass", act.ErrForbidden)
		}
		c.actor = act.Actor{Kind: act.ByLocal, Name: c.peer.name(), BreakGlass: reason}
		return nil
	}
	if c.token == "" {
		return ErrSignIn
	}
	o, err := c.acts.LocalSession(ctx, c.token)
	if errors.Is(err, act.ErrForbidden) {
		return fmt.Errorf("%w: %w", ErrSignIn, err)
	}
	if err != nil {
		return err
	}
	c.actor = act.Actor{Kind: act.ByOperator, ID: o.ID, Name: o.DisplayName, OrganisationID: o.OrganisationID, Role: o.Role}
	return nil
}

// decode reads the request; a field that does not exist is an error.
func (c *call) decode(into any) error {
	if len(c.body) == 0 {
		return nil
	}
	d := json.NewDecoder(strings.NewReader(string(c.body)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return invalid("body", "malformed", "read request: %w", err)
	}
	return nil
}

func (s *Server) stream(ctx context.Context, w http.ResponseWriter, name string, run func(emit func(any) error) (any, error)) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	rc := http.NewResponseController(w)
	send := func(l line) error {
		b, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if _, err := w.Write(append(b, '\n')); err != nil {
			return err
		}
		return rc.Flush()
	}
	out, err := run(func(event any) error { return send(line{Event: marshal(event)}) })
	last := line{Result: marshal(out)}
	if err != nil {
		e, _ := s.told(ctx, name, err)
		last = line{Error: e}
	}
	if err := send(last); err != nil {
		s.cfg.Log.DebugContext(ctx, "local client went away", slog.String("verb", name))
	}
}

func (s *Server) fail(ctx context.Context, w http.ResponseWriter, name string, err error) {
	e, status := s.told(ctx, name, err)
	s.write(w, status, answer{Error: e})
}

// told logs what is our own fault and returns what the client hears.
func (s *Server) told(ctx context.Context, name string, err error) (*Error, int) {
	e, status := wireError(err)
	if e.Code == "internal" && ctx.Err() == nil {
		s.cfg.Log.ErrorContext(ctx, "local call failed", slog.String("verb", name), slog.Any("error", err))
	}
	return e, status
}

func (s *Server) write(w http.ResponseWriter, status int, a answer) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(a); err != nil {
		s.cfg.Log.Debug("local client went away")
	}
}

// marshal encodes an answer of our own making.
func marshal(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("answer that is no JSON: %v", err)) // a mistake in this package
	}
	return b
}
