package localapi

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"strconv"
	"sync"
	"time"
)

// Agent is what the socket speaks for.
type Agent interface {
	// Report stores a report of trouble and returns its identifier; after nil it will be
	// delivered.
	Report(ctx context.Context, reporter, message string) (alertID string, err error)
	// AwaitReport waits until the collector has it, or ctx ends.
	AwaitReport(ctx context.Context, alertID string) (incidentNumber string, err error)
	Status(ctx context.Context) Status
	Wake()
	// SelfTest seals the results of a self-test and returns their acquisition.
	SelfTest(ctx context.Context, checks []Check) (acquisitionID string, err error)
}

// Config is the manual of the socket.
type Config struct {
	// Path of the socket; its folder is made with mode 0755 when absent. A socket that
	// nobody answers at is replaced. On Windows a named pipe stands for it, see [PipeName].
	Path  string
	Agent Agent
	// Power answers the verbs about going down. Optional.
	Power Power
	// Network answers the verbs about isolation. Optional.
	Network Network
	// Helper reports whether a process is the agent's own helper in a session. Such are not
	// counted with the other programs of whoever is signed in there, so that none of those
	// keeps it from saying that the session ends. Optional.
	Helper func(pid int) bool
	// Log hears of faults; never of what a person wrote. Optional.
	Log *slog.Logger
}

const requestTime = 5 * time.Second // for a client to say what it wants

// Server serves the socket.
type Server struct {
	cfg Config
	l   net.Listener
	*limits
}

// ErrInUse means that another agent answers at the socket.
var ErrInUse = errors.New("another agent answers at this socket")

// Listen makes the socket.
func Listen(cfg Config) (*Server, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, err := listen(cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("make local socket: %w", err)
	}
	return &Server{cfg: cfg, l: l, limits: newLimits()}, nil
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.l.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		c, err := s.l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			s.cfg.Log.ErrorContext(ctx, "accept on local socket", slog.Any("error", err))
			select { // such as too many open files: it passes
			case <-time.After(time.Second):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		peer := peerOf(c)
		place := peer.UID
		if s.cfg.Helper != nil && peer.PID > 0 && s.cfg.Helper(peer.PID) {
			place = helperPlace + strconv.Itoa(peer.PID)
		}
		if everybodyIsKnown && peer.UID == unknownUser || !s.enter(place) {
			c.Close() // who hides, or too many at once
			continue
		}
		wg.Go(func() {
			defer s.leave(place)
			s.serve(ctx, c, peer, place)
		})
	}
}

// serve answers one client, which is counted at a place.
func (s *Server) serve(ctx context.Context, c net.Conn, peer Peer, place string) {
	uid := peer.UID
	ctx = WithUID(ctx, uid)
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	defer func() {
		if p := recover(); p != nil {
			s.cfg.Log.ErrorContext(ctx, "local request panicked", slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
		}
	}()
	if err := c.SetDeadline(time.Now().Add(requestTime)); err != nil {
		return
	}
	line, err := bufio.NewReaderSize(c, maxRequest+1).ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			s.say(c, Reply{Done: true, Code: CodeInvalid, Error: fmt.Sprintf("request has more than %d bytes", maxRequest)})
		}
		return
	}
	r, err := parseRequest(line)
	if err != nil {
		s.say(c, Reply{Done: true, Code: CodeInvalid, Error: err.Error()})
		return
	}
	if !s.allow(r.Verb, place) {
		s.say(c, Reply{Done: true, Code: CodeTooMany, Error: "too many requests; wait a moment"})
		return
	}
	switch r.Verb {
	case VerbStatus:
		st := s.cfg.Agent.Status(ctx)
		s.say(c, Reply{Done: true, Status: &st})
	case VerbWake:
		s.cfg.Agent.Wake()
		s.say(c, Reply{Done: true})
	case VerbReport:
		s.report(ctx, c, peer.reporter(), r)
	case VerbGate, VerbPreserve, VerbShutdown, VerbSession:
		s.power(ctx, c, peer, r)
	case VerbSelfTest:
		s.selfTest(ctx, c, peer, r)
	case VerbIsolation, VerbRelease, VerbUninstall, VerbDrill:
		s.network(ctx, c, peer, r)
	}
}

func (s *Server) report(ctx context.Context, c net.Conn, who string, r Request) {
	alertID, err := s.cfg.Agent.Report(ctx, who, r.Message)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "report not stored", slog.Any("error", err))
		s.say(c, Reply{Done: true, Code: CodeInternal, Error: err.Error()})
		return
	}
	rep := Report{AlertID: alertID, Connected: s.cfg.Agent.Status(ctx).Connected}
	if !s.say(c, Reply{Done: r.WaitSeconds == 0, Report: &rep}) || r.WaitSeconds == 0 {
		return
	}
	wait := time.Duration(r.WaitSeconds) * time.Second
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	number, err := s.cfg.Agent.AwaitReport(ctx, alertID)
	rep.Delivered, rep.IncidentNumber = err == nil, number
	s.say(c, Reply{Done: true, Report: &rep})
}

// say writes one line; a client that does not read is left.
func (s *Server) say(c net.Conn, r Reply) bool {
	b, err := json.Marshal(r)
	if err != nil {
		return false
	}
	if err := c.SetWriteDeadline(time.Now().Add(requestTime)); err != nil {
		return false
	}
	_, err = c.Write(append(b, '\n'))
	return err == nil
}
