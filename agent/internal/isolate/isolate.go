// Package isolate cuts the endpoint's network except the way to the collector, keeps
// that so across restarts, and says of it only what was read back from the kernel. It
// knows nothing of commands, gRPC or how a firewall is spoken to.
package isolate

import (
	"context"
	"errors"
	"time"
)

// State is the state of the endpoint's network.
type State string

// The states. They stand in the state file and in records, so they are stable.
const (
	// Unknown: nothing could be measured. It is never shown as isolated.
	Unknown State = "unknown"
	// Released: nothing of ours is in force.
	Released State = "released"
	// Isolating: on the way to Isolated.
	Isolating State = "isolating"
	// Isolated: every rule that was ordered was read back from the kernel.
	Isolated State = "isolated"
	// Releasing: on the way to Released.
	Releasing State = "releasing"
	// Failed: what is in force is not what was ordered.
	Failed State = "failed"
)

// Errors on which callers act.
var (
	// ErrNeedsRoot means that this process lacks the right to change the firewall.
	ErrNeedsRoot = errors.New("network isolation needs root (CAP_NET_ADMIN)")
	// ErrNoWayBack means that an order to cut off everything names neither a time at which
	// that ends nor a code, so that nobody could ever undo it.
	ErrNoWayBack = errors.New("neither an end nor a release code: nothing would lead back")
	// ErrOver means that the time until which to isolate is over already.
	ErrOver = errors.New("the time until which to isolate is over")
	// ErrEnded means that the order was carried out and has been ended at the endpoint
	// since, by code, time or roll back: saying it again does not isolate again.
	ErrEnded = errors.New("the order was carried out and has ended at the endpoint")
	// ErrDrill means that a drill was ordered while the endpoint is isolated in earnest: its
	// end would open what is to stay closed.
	ErrDrill = errors.New("isolated in earnest, which no drill replaces")
	// ErrNoCollector means that an order to isolate names no address of the collector,
	// so that the endpoint could never be reached again.
	ErrNoCollector = errors.New("no collector address to keep open")
	// ErrHeld means that another program holds our rules and that the kernel lets nobody
	// else change them before it ends or lets go.
	ErrHeld = errors.New("isolation is held by another program")
	// ErrNotInForce means that after everything was tried the kernel enforces something
	// else than what was ordered.
	ErrNotInForce = errors.New("kernel does not enforce what was ordered")
)

// Firewall is the part of an operating system that can cut its network. Calls come
// one at a time, except that Observe may run beside one of the others. Every method
// ends soon after its context does. Errors wrap [ErrNeedsRoot] without the rights and
// [errors.ErrUnsupported] where the system has no such firewall.
type Firewall interface {
	// Apply puts p in force, whole or not at all, replacing an earlier policy without a
	// moment in which neither holds. Applying the same again changes nothing. After an
	// error something may still be in force: never less than before the call.
	Apply(ctx context.Context, p Policy) error
	// Observe reads back from the kernel what is in force and compares it with p; nil
	// means that nothing of ours should be. It changes nothing.
	Observe(ctx context.Context, p *Policy) (Observation, error)
	// Restore takes away what any Apply of any process ever put in force, and nothing
	// else. It needs no memory of an Apply; taking away nothing is no error. What another
	// running program holds it cannot take away; the error then wraps [ErrHeld].
	Restore(ctx context.Context) error
}

// Observation is what the kernel enforced at one moment.
type Observation struct {
	// MeasuredAt is the agent's wall clock when reading was done.
	MeasuredAt time.Time `json:"measured_at"`
	// Present means that at least one table of ours exists.
	Present bool `json:"present"`
	// Complete means that everything that the policy asks for, and that this kernel can
	// do, is in force: no Gaps.
	Complete bool `json:"complete"`
	// Digest is the SHA-256 of the normalised rules as read back, Expected that of the
	// rules as asked for; both in hexadecimal, empty where there are none.
	Digest   string `json:"digest,omitempty"`
	Expected string `json:"expected,omitempty"`
	// Tables are the tables of ours that exist.
	Tables []string `json:"tables,omitempty"`
	// Links are the network devices and what covers them. Loopback is not one of them.
	Links []Link `json:"links,omitempty"`
	// Drops are the packets dropped so far, per chain. They start again from 0 whenever
	// a policy is applied.
	Drops []Drop `json:"drops,omitempty"`
	// Held says who may change the rules.
	Held Held `json:"held,omitempty"`
	// Gaps say, in English, what is in force otherwise than asked for.
	Gaps []string `json:"gaps,omitempty"`
	// Limits say, in English, what this kernel cannot do and therefore nobody missed.
	Limits []string `json:"limits,omitempty"`
}

// Held says who may change the rules that are in force.
type Held string

// The holders. The empty one means that every administrator of the endpoint may: the
// system cannot lock rules, or there are none.
const (
	// HeldHere: the Firewall that was asked, and nobody else, may change the rules.
	HeldHere Held = "here"
	// HeldElsewhere: another program may, and this one may not until that one ends.
	HeldElsewhere Held = "elsewhere"
	// HeldByNobody: the next Apply locks the rules; until then anybody may change them.
	HeldByNobody Held = "nobody"
)

// Link is the cover of one network device. A false value is a gap, or a limit.
type Link struct {
	Name    string `json:"name"`
	Ingress bool   `json:"ingress"`
	Egress  bool   `json:"egress"`
}

// Drop counts the packets that one chain dropped.
type Drop struct {
	Chain   string `json:"chain"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// DroppedPackets is the sum over all chains. A packet that the innermost chain drops
// never reaches another, so none counts twice.
func (o Observation) DroppedPackets() uint64 {
	var n uint64
	for _, d := range o.Drops {
		n += d.Packets
	}
	return n
}

// Unsupported is the Firewall of a system that has none.
type Unsupported struct{}

// Apply returns errors.ErrUnsupported.
func (Unsupported) Apply(context.Context, Policy) error { return errors.ErrUnsupported }

// Observe returns errors.ErrUnsupported.
func (Unsupported) Observe(context.Context, *Policy) (Observation, error) {
	return Observation{}, errors.ErrUnsupported
}

// Restore returns errors.ErrUnsupported.
func (Unsupported) Restore(context.Context) error { return errors.ErrUnsupported }
