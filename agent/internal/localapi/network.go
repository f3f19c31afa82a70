package localapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"
)

// Network answers the verbs about isolation.
type Network interface {
	// Network measures how the network is.
	Network(ctx context.Context) NetworkStatus
	// ReleaseByCode gives the network back to somebody who knows the code. An error that
	// is a [*ReleaseError] says why not; with any other it was tried and is not shown. The
	// status is what was measured afterwards.
	ReleaseByCode(ctx context.Context, code string, by Peer) (NetworkStatus, error)
	// ReleaseForUninstall gives the network back because the agent goes away, and tries to
	// tell the collector for some seconds; told says whether it has it.
	ReleaseForUninstall(ctx context.Context, by Peer) (st NetworkStatus, told bool, err error)
	// Drill cuts the network for a minute and returns how it is then; it comes back by
	// itself. An error means that nothing was cut, or that it is not in force.
	Drill(ctx context.Context, by Peer) (NetworkStatus, error)
}

// ReleaseError says why nothing was released.
type ReleaseError struct {
	// Code is [CodeNoCode], [CodeWrong], [CodeMistyped], [CodeTooMany] or [CodeUnable].
	Code string
	// Group is the mistyped group from 1 on, 0 if it is not known.
	Group int
	// RetryAfter is how long to wait, of CodeTooMany.
	RetryAfter time.Duration
	Err        error
}

func (e *ReleaseError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e *ReleaseError) Unwrap() error { return e.Err }

// Release is what came of an order to release.
type Release struct {
	// Group is the mistyped group from 1 on, RetryAfterSeconds how long to wait.
	Group             int   `json:"group,omitempty"`
	RetryAfterSeconds int64 `json:"retry_after_seconds,omitempty"`
	// Told says that the collector has been told; of uninstalling alone.
	Told bool `json:"told,omitempty"`
}

// NetworkFormat is the format of a NetworkStatus.
const NetworkFormat = "hozen-agent-isolation/1"

// NetworkStatus is how isolated the PC is, as measured. Its JSON form is stable.
type NetworkStatus struct {
	Format string `json:"format"`
	// Source is "agent", or "without_agent" where another process read what it could.
	Source string `json:"source"`
	// Desired is what was ordered last, Observed what was measured at MeasuredAt: released,
	// isolating, isolated, releasing, failed or unknown. Reason is a stable code for why it
	// is failed or unknown, Detail the same in English.
	Desired  string `json:"desired"`
	Observed string `json:"observed"`
	Reason   string `json:"reason,omitempty"`
	Detail   string `json:"detail,omitempty"`
	// MeasuredAt is by the PC's clock, Age how old that was when it was answered.
	MeasuredAt time.Time `json:"measured_at,omitzero"`
	AgeMS      int64     `json:"age_ms"`
	Capable    bool      `json:"capable"`
	// Mode is standard, selective or full.
	Mode string `json:"mode,omitempty"`
	// CommandID is the order, OrderedAt when it was carried out; Persisted means that it
	// survives a restart, RecordLost that it is not known any more and the PC was kept closed.
	CommandID  string    `json:"command_id,omitempty"`
	OrderedAt  time.Time `json:"ordered_at,omitzero"`
	Persisted  bool      `json:"persisted"`
	RecordLost bool      `json:"record_lost,omitempty"`
	Drill      bool      `json:"drill,omitempty"`
	// Until is when it ends by itself; never, if it is absent.
	Until       time.Time `json:"until,omitzero"`
	LeaseUntil  time.Time `json:"lease_until,omitzero"`
	LeaseLapsed bool      `json:"lease_lapsed,omitempty"`
	// Held is who may change the rules: here (the agent alone), elsewhere, nobody (anybody
	// with root, until the agent holds them again) or empty (anybody with root).
	Held string `json:"held,omitempty"`
	// WayHome is the last attempt to reach the collector through the rules.
	WayHome      *WayHome     `json:"way_home,omitempty"`
	Confirmation *Confirm     `json:"confirmation,omitempty"`
	Trials       []Trial      `json:"trials,omitempty"`
	Collectors   []string     `json:"collectors,omitempty"`
	Permits      []OpenPermit `json:"permits,omitempty"`
	Tunnels      []OpenTunnel `json:"tunnels,omitempty"`
	Dropped      uint64       `json:"dropped_packets"`
	// Limits are what this system cannot cut, in English.
	Limits []string `json:"limits,omitempty"`
	// CodeNumber is the number of the release code, twelve digits; Phone whom to call,
	// Notice what the organisation says.
	CodeNumber string `json:"code_number,omitempty"`
	Phone      string `json:"phone,omitempty"`
	Notice     string `json:"notice,omitempty"`
	// Ended is how the last isolation ended without an order.
	Ended *EndedHow `json:"ended,omitempty"`
}

// WayHome is one attempt to reach the collector.
type WayHome struct {
	OK     bool      `json:"ok"`
	At     time.Time `json:"at"`
	Detail string    `json:"detail,omitempty"`
}

// Confirm is how far an order was confirmed by a connection to the collector.
type Confirm struct {
	By       time.Time `json:"by"`
	Fallback string    `json:"fallback"` // stay_closed or roll_back
	At       time.Time `json:"at,omitzero"`
	Missed   time.Time `json:"missed,omitzero"`
}

// Trial is one thing that was tried through the rules: outcome as_ordered, contrary or
// unknown.
type Trial struct {
	Name    string    `json:"name"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"`
	At      time.Time `json:"at"`
	// Cut says that it should be cut, not open.
	Cut bool `json:"cut"`
}

// OpenPermit is one way that stays open.
type OpenPermit struct {
	Network   string    `json:"network"`
	Protocol  string    `json:"protocol"`
	First     uint16    `json:"first_port"`
	Last      uint16    `json:"last_port"`
	Host      string    `json:"host,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	ExpiresAt time.Time `json:"expires_at"`
}

// OpenTunnel is the outer end of a tunnel that leads to the collector, which stays open.
type OpenTunnel struct {
	Address string `json:"address"`
	// Protocol is that of IP: 4, 6 (TCP), 17 (UDP), 41 or 47; Port the other end's.
	Protocol uint8  `json:"protocol"`
	Port     uint16 `json:"port,omitempty"`
	// Link is the tunnel's device, Why says in English how the end was found.
	Link  string    `json:"link,omitempty"`
	Why   string    `json:"why,omitempty"`
	Since time.Time `json:"since,omitzero"`
}

// EndedHow is how an isolation ended without an order.
type EndedHow struct {
	How string    `json:"how"`
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
}

// maxCode bounds what is given for a code, in bytes; releasecode reads no more.
const maxCode = 256

func checkRelease(r Request) error {
	if r.Code == "" {
		return errors.New("code is empty")
	}
	if len(r.Code) > maxCode {
		return fmt.Errorf("code has %d bytes, at most %d are read", len(r.Code), maxCode)
	}
	return nil
}

// network answers the verbs about isolation.
func (s *Server) network(ctx context.Context, c net.Conn, by Peer, r Request) {
	n := s.cfg.Network
	if n == nil {
		s.say(c, Reply{Done: true, Code: CodeInvalid, Error: "this agent cannot cut the network"})
		return
	}
	switch r.Verb {
	case VerbIsolation:
		st := n.Network(ctx)
		s.say(c, Reply{Done: true, Network: &st})
	case VerbRelease:
		// One at a time: each holds up every other order about the network.
		leave, ok := s.turnAt(ctx, s.codes, by.UID)
		if !ok {
			s.say(c, Reply{Done: true, Code: CodeTooMany, Error: "too many requests; wait a moment"})
			return
		}
		defer leave()
		st, err := n.ReleaseByCode(ctx, r.Code, by.found())
		s.released(ctx, c, st, Release{}, err)
	case VerbDrill:
		if by.UID != rootUser {
			s.say(c, Reply{Done: true, Code: CodeDenied, Error: "only root may have the network cut"})
			return
		}
		st, err := n.Drill(ctx, by.found())
		r := Reply{Done: true, Network: &st}
		if err != nil {
			s.cfg.Log.WarnContext(ctx, "drill did not go as ordered", slog.Any("error", err))
			r.Code, r.Error = CodeInternal, err.Error()
		}
		s.say(c, r)
	case VerbUninstall:
		if by.UID != rootUser {
			s.say(c, Reply{Done: true, Code: CodeDenied, Error: "only root may release the PC in order to uninstall"})
			return
		}
		st, told, err := n.ReleaseForUninstall(ctx, by.found())
		s.released(ctx, c, st, Release{Told: told}, err)
	}
}

func (s *Server) released(ctx context.Context, c net.Conn, st NetworkStatus, rel Release, err error) {
	r := Reply{Done: true, Network: &st, Release: &rel}
	if err != nil {
		r.Code, r.Error = CodeInternal, err.Error()
		var no *ReleaseError
		if errors.As(err, &no) {
			r.Code, rel.Group, rel.RetryAfterSeconds = no.Code, no.Group, int64((no.RetryAfter+time.Second-1)/time.Second)
		} else {
			s.cfg.Log.ErrorContext(ctx, "not released as asked", slog.Any("error", err))
		}
	}
	s.say(c, r)
}
