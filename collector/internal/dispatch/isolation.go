package dispatch

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Mode is which traffic an order to isolate leaves open.
type Mode string

// The modes.
const (
	Standard  Mode = "standard"  // the collector, address configuration and loopback
	Selective Mode = "selective" // the same and the permits
	Full      Mode = "full"      // not even the collector
)

// Fallback is what becomes of an isolation through which the collector is not reached.
type Fallback string

// The fallbacks.
const (
	StayClosed Fallback = "stay_closed"
	RollBack   Fallback = "roll_back"
)

// Isolation is what an order to isolate says beyond its verb. Its zero value is an order
// of the mode standard that stays until somebody releases.
type Isolation struct {
	Mode Mode `json:"mode,omitempty"` // empty: standard
	// Permits are the ways that stay open in the mode selective.
	Permits []Permit `json:"permits,omitempty"`
	// Until is when it ends by itself, because a person said so; zero: never.
	Until time.Time `json:"until,omitzero"`
	// ConfirmWithin is how long reaching the collector through the rules may take before
	// Fallback is taken; 0: the order counts at once.
	ConfirmWithin time.Duration `json:"confirm_within_ns,omitempty"`
	Fallback      Fallback      `json:"fallback,omitempty"`
	// Lease is how long the collector need not be heard before that is told; 0: no lease.
	Lease time.Duration `json:"lease_ns,omitempty"`
	// Code is the way back without the collector; nil: there is none.
	Code *ReleaseCode `json:"code,omitempty"`
	// Notice is what the person at the endpoint is told, of Release too.
	Notice Notice `json:"notice,omitzero"`
	// Drill means that it is a drill (訓練).
	Drill bool `json:"drill,omitempty"`
}

// Permit is one way that stays open.
type Permit struct {
	Network   netip.Prefix `json:"network"`
	Protocol  string       `json:"protocol"` // "tcp" or "udp"
	First     uint16       `json:"first_port"`
	Last      uint16       `json:"last_port"`
	Reason    string       `json:"reason"`
	Host      string       `json:"host,omitempty"` // the name that was resolved
	ExpiresAt time.Time    `json:"expires_at"`
}

// ReleaseCode is what an endpoint is told of a code: enough to know it when it is given.
type ReleaseCode struct {
	Number     string `json:"number"` // twelve digits
	Hash       []byte `json:"hash"`
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
}

// Notice is what the person at the endpoint is told.
type Notice struct {
	Text  string `json:"text,omitempty"`
	Phone string `json:"phone,omitempty"`
}

// Plain reports whether every agent can carry the order out, the oldest too.
func (i Isolation) Plain() bool {
	return (i.Mode == "" || i.Mode == Standard) && len(i.Permits) == 0 && i.Until.IsZero() && i.ConfirmWithin == 0 && !i.Drill
}

func (i Isolation) text() (string, error) {
	b, err := json.Marshal(i)
	if err != nil {
		return "", fmt.Errorf("encode isolation: %w", err)
	}
	if string(b) == "{}" {
		return "", nil
	}
	return string(b), nil
}

// scanIsolation reads what text wrote.
type scanIsolation struct{ i *Isolation }

func (s scanIsolation) Scan(v any) error {
	var b []byte
	switch v := v.(type) {
	case string:
		b = []byte(v)
	case []byte:
		b = v
	default:
		return fmt.Errorf("read isolation: %T", v)
	}
	if len(b) == 0 {
		*s.i = Isolation{}
		return nil
	}
	if err := json.Unmarshal(b, s.i); err != nil {
		return fmt.Errorf("read isolation: %w", err)
	}
	return nil
}
