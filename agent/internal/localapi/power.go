package localapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
)

// Power is what the socket speaks for where the PC can be told to go down.
type Power interface {
	// Gate says what would be lost.
	Gate(ctx context.Context) Gate
	// Preserve takes evidence, seals it, lets it be delivered, and then has the PC go
	// down. It calls tell at each step. An error wrapping [ErrDenied] means that this
	// person may not, one wrapping [ErrTooMany] that it is too soon.
	Preserve(ctx context.Context, o PreserveOrder, tell func(Preserve)) error
	// GoingDown returns when everything is kept that can be kept in time.
	GoingDown(ctx context.Context) error
	// SessionEnds hears of the agent's helper in a session how that ends, and returns when
	// what is alive is kept. An error wrapping [ErrDenied] means that this is no helper.
	SessionEnds(ctx context.Context, by Peer, ending string) error
}

// How a session ends.
const (
	EndingDown      = "down"      // because the PC goes down
	EndingLogoff    = "logoff"    // because its user signs out
	EndingCancelled = "cancelled" // it does not after all
)

// ErrDenied means that somebody may not have the PC go down.
var ErrDenied = errors.New("only the administrator and who sits at the PC may switch it off; the evidence can be kept without")

// ErrTooMany means that evidence was kept so often of late that it is not kept again yet.
var ErrTooMany = errors.New("evidence was taken several times just now; wait a minute")

// PreserveOrder is somebody's wish to keep the evidence.
type PreserveOrder struct {
	UID         string // as the kernel says, "0" for root; empty where it does not tell
	DecidedBy   string
	Reason      string
	Then        string
	Shown       []string
	WaitSeconds int
}

// Gate is what switching off now would destroy, and what of it is kept already. A
// count of -1 is one that could not be found out.
type Gate struct {
	Processes          int   `json:"processes"`
	Connections        int   `json:"connections"` // TCP, established
	Sessions           int   `json:"sessions"`
	UnsentAcquisitions int   `json:"unsent_acquisitions"`
	UnsentBytes        int64 `json:"unsent_bytes"`
	Isolated           bool  `json:"isolated"`
	Connected          bool  `json:"connected"`
	// MayPowerOff says whether the one who asks may have the PC go down.
	MayPowerOff bool `json:"may_power_off"`
	// Losses are codes of what is gone for good: memory, processes, connections,
	// sessions, unsent_evidence, disk_keys.
	Losses []string `json:"losses"`
}

// The steps of preserve.
const (
	StepAcquiring = "acquiring"
	StepSealed    = "sealed"
	StepDelivered = "delivered" // the collector has it
	StepKept      = "kept"      // not delivered in time; it stays on this PC
	StepGoingDown = "going_down"
	StepDone      = "done" // nothing comes after
)

// Preserve is how far the order has come.
type Preserve struct {
	Step          string `json:"step"`
	AcquisitionID string `json:"acquisition_id,omitempty"`
	Outcome       string `json:"outcome,omitempty"`
	Done          int    `json:"done,omitempty"`
	Total         int    `json:"total,omitempty"`
}

const maxShown = 16

func checkPreserve(r Request) error {
	switch r.Then {
	case ThenNothing:
	case ThenPowerOff, ThenReboot:
		if r.Message == "" {
			return errors.New("message is empty: switching off needs a reason")
		}
	default:
		return fmt.Errorf("then: %.40q, want %s, %s or %s", r.Then, ThenNothing, ThenPowerOff, ThenReboot)
	}
	if len(r.Message) > MaxMessage {
		return fmt.Errorf("message has %d bytes, at most %d are allowed", len(r.Message), MaxMessage)
	}
	if len(r.Shown) > maxShown {
		return fmt.Errorf("shown has %d codes, at most %d are allowed", len(r.Shown), maxShown)
	}
	for _, code := range r.Shown {
		if code == "" || len(code) > 32 {
			return fmt.Errorf("shown: %.40q is no code", code)
		}
		for _, b := range []byte(code) {
			if (b < 'a' || b > 'z') && b != '_' {
				return fmt.Errorf("shown: %.40q is no code", code)
			}
		}
	}
	return nil
}

// power answers the verbs about going down.
func (s *Server) power(ctx context.Context, c net.Conn, peer Peer, r Request) {
	uid, p := peer.UID, s.cfg.Power
	if p == nil {
		s.say(c, Reply{Done: true, Code: CodeInvalid, Error: "this agent cannot have the PC go down"})
		return
	}
	switch r.Verb {
	case VerbGate:
		leave, ok := s.turn(ctx, uid)
		if !ok {
			s.say(c, Reply{Done: true, Code: CodeTooMany, Error: "too many requests; wait a moment"})
			return
		}
		defer leave()
		g := p.Gate(ctx)
		s.say(c, Reply{Done: true, Gate: &g})
	case VerbShutdown:
		if uid != rootUser {
			s.say(c, Reply{Done: true, Code: CodeDenied, Error: "only root may say that the PC goes down"})
			return
		}
		if err := p.GoingDown(ctx); err != nil {
			s.say(c, Reply{Done: true, Code: CodeInternal, Error: err.Error()})
			return
		}
		s.say(c, Reply{Done: true})
	case VerbSession:
		switch err := p.SessionEnds(ctx, peer, r.Ending); {
		case errors.Is(err, ErrDenied):
			s.say(c, Reply{Done: true, Code: CodeDenied, Error: "only the agent's own helper in a session says that it ends"})
		case err != nil:
			s.say(c, Reply{Done: true, Code: CodeInternal, Error: err.Error()})
		default:
			s.say(c, Reply{Done: true})
		}
	case VerbPreserve:
		o := PreserveOrder{UID: uid, DecidedBy: peer.reporter(), Reason: r.Message, Then: r.Then, Shown: r.Shown, WaitSeconds: r.WaitSeconds}
		var last Preserve
		err := p.Preserve(ctx, o, func(step Preserve) {
			last = step
			s.say(c, Reply{Preserve: &step}) // whoever left does not stop it
		})
		switch {
		case errors.Is(err, ErrDenied):
			s.say(c, Reply{Done: true, Code: CodeDenied, Error: err.Error()})
		case errors.Is(err, ErrTooMany):
			s.say(c, Reply{Done: true, Code: CodeTooMany, Error: err.Error()})
		case err != nil:
			s.cfg.Log.ErrorContext(ctx, "evidence not kept as asked", slog.Any("error", err))
			s.say(c, Reply{Done: true, Code: CodeInternal, Error: err.Error(), Preserve: &last})
		default:
			s.say(c, Reply{Done: true, Preserve: &last})
		}
	}
}

type uidKey struct{}

// WithUID keeps who asks.
func WithUID(ctx context.Context, uid string) context.Context {
	return context.WithValue(ctx, uidKey{}, uid)
}

// UID returns who asks, as the kernel says; empty where it does not tell.
func UID(ctx context.Context) string {
	uid, _ := ctx.Value(uidKey{}).(string)
	return uid
}
