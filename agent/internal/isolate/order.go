package isolate

import (
	"errors"
	"fmt"
	"time"

	"hozen/internal/releasecode"
)

// Request is an order to isolate or to release. Release reads CommandID alone.
type Request struct {
	// CommandID names the order in the record, "cmd_…". Carrying out the same command
	// again only measures again what is in force, and puts it right.
	CommandID string
	// Policy is what stays allowed.
	Policy Policy
	// IsolateFirst leaves out Before.
	IsolateFirst bool
	// Within, if not 0, is how long it may take until the collector is reached through
	// the rules; else Else happens, by default StayClosed. It counts from the order on,
	// across restarts.
	Within time.Duration
	Else   Fallback
	// Until is when the isolation ends by itself, by the agent's wall clock, because a
	// person set it. Zero: never.
	Until time.Time
	// Lease, if not 0, is how long the collector need not be heard before that is told.
	// Its end opens nothing.
	Lease time.Duration
	// Code is the way back without the collector; nil if there is none. It belongs to
	// this order: one that replaces it brings its own, or has none.
	Code *ReleaseCode
	// Notice is what the person at the endpoint is told.
	Notice Notice
	// Drill means that it is a drill.
	Drill bool
}

// ReleaseCode is what is stored of a code that ends an isolation at the endpoint.
type ReleaseCode struct {
	// Number is the number by which the code is found again, twelve digits.
	Number string `json:"number"`
	// Hash and Salt are those of the code, Iterations those of PBKDF2 (RFC 8018).
	Hash       []byte `json:"hash"`
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
}

// Notice is what the person at the endpoint is told.
type Notice struct {
	// Text is in the organisation's own words, at most 1 KiB; the rest is cut off.
	Text string `json:"text,omitempty"`
	// Phone is the number to call, at most 64 bytes.
	Phone string `json:"phone,omitempty"`
}

// terms are how an isolation ends and what is told of it, as they stand in a record.
type terms struct {
	Until  time.Time     `json:"until,omitzero"`
	Lease  time.Duration `json:"lease_ns,omitempty"`
	Code   *ReleaseCode  `json:"code,omitempty"`
	Notice Notice        `json:"notice,omitzero"`
	Drill  bool          `json:"drill,omitempty"`
}

func (r Request) terms() terms {
	t := terms{Until: r.Until.UTC().Round(0), Lease: r.Lease, Code: r.Code, Drill: r.Drill,
		Notice: Notice{Text: clip(r.Notice.Text, 1024), Phone: clip(r.Notice.Phone, 64)}}
	if r.Until.IsZero() {
		t.Until = time.Time{}
	}
	return t
}

// clip cuts s off after at most n bytes, between two characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}

// iterationsMax bounds what one try of a code costs the endpoint, to some 50 ms, for
// which every other order waits.
const iterationsMax = 100_000

func (c *ReleaseCode) check() error {
	if c == nil {
		return nil
	}
	if n, err := releasecode.ParseNumber(c.Number); err != nil || n != c.Number {
		return fmt.Errorf("number of the release code %.20q: not %d digits", c.Number, releasecode.NumberLen)
	}
	if len(c.Hash) != releasecode.HashLen || len(c.Salt) != releasecode.SaltLen || c.Iterations < 1 || c.Iterations > iterationsMax {
		return errors.New("release code that cannot be checked")
	}
	return nil
}

// check says what is wrong with an order to isolate at a moment.
func (r Request) check(now time.Time) error {
	if err := r.Policy.Check(); err != nil {
		return err
	}
	if err := r.Code.check(); err != nil {
		return err
	}
	switch {
	case r.Policy.Mode == Full && r.Until.IsZero() && r.Code == nil:
		return ErrNoWayBack
	case r.Policy.Mode == Full && r.Within != 0:
		return errNoProof
	case !r.Until.IsZero() && !r.Until.After(now):
		return ErrOver
	case r.Lease < 0:
		return errors.New("lease of less than no time")
	}
	return nil
}
