// Package trial tries what an isolated endpoint's rules should cut and what they should
// let pass, with packets of its own: it runs no program and resolves no name. It knows
// nothing of how rules are made, of orders or of files of the agent.
//
// A trial goes only where the endpoint goes by itself: to its gateways, its resolvers and
// its time servers. That something is cut is said only when three things agree: the way
// was open before the cut, nothing came back and nothing was seen to leave, and the rule
// that should drop it counted it.
package trial

import (
	"cmp"
	"context"
	"time"
)

// Config is what a Prober is built from. Its zero value is right for an agent, apart from
// WayHome.
type Config struct {
	// WayHome makes a new connection to the collector through the rules. Its context ends
	// after HomeLimit. Optional: without it the collector is not tried.
	WayHome func(context.Context) error
	// HomeLimit is how long WayHome may take. Default 1.5 s.
	HomeLimit time.Duration
	// Limit is how long an answer is waited for, to all that is tried at once. Default
	// 500 ms.
	Limit time.Duration
	// Settle is how long something is waited for that should not come when the counters
	// already account for every packet. Default 50 ms.
	Settle time.Duration
	// MaxAge is how old a control may be and still prove something. Default 30 days. A
	// control whose target is none of the endpoint's any more proves nothing at any age.
	MaxAge time.Duration
	// OutChain is the name of the chain, as drops tells it, that drops what this endpoint
	// sends. Default "inet out". LinkChain followed by the name of a network device is the
	// chain that drops what leaves by it. Default "netdev out_".
	OutChain, LinkChain string
	// Root is the directory below which the system's configuration is read. Default "/".
	Root string
	// NetNS is the file descriptor of the network namespace to work in. Default 0: the
	// one of this process.
	NetNS int
}

// New returns a Prober; it touches nothing.
func New(c Config) *Prober {
	c.HomeLimit = cmp.Or(c.HomeLimit, 1500*time.Millisecond)
	c.Limit = cmp.Or(c.Limit, 500*time.Millisecond)
	c.Settle = cmp.Or(c.Settle, 50*time.Millisecond)
	c.MaxAge = cmp.Or(c.MaxAge, 30*24*time.Hour)
	c.OutChain = cmp.Or(c.OutChain, "inet out")
	c.LinkChain = cmp.Or(c.LinkChain, "netdev out_")
	c.Root = cmp.Or(c.Root, "/")
	return &Prober{cfg: c}
}

// Prober is isolate.Trials. It keeps no state, so that any number of them see the same.
// It needs the right to open packet sockets (CAP_NET_RAW) for what is tried below IP and
// to see what leaves; without it those trials say so and the others go on.
type Prober struct{ cfg Config }

// The reasons of a trial that is not as ordered. They are stable: they stand in records.
const (
	// Answered: something came back that should have been cut. Left: a frame was seen to
	// leave. NoAnswer: what must pass does not. All three are contrary.
	Answered = "answered"
	Left     = "left"
	NoAnswer = "no_answer"

	// NoControl: the way was not open before the cut, or there is nobody to try it with.
	NoControl = "no_control"
	// StaleControl: it was, but too long ago, or to a gateway, resolver or time server
	// that is none of the endpoint's any more.
	StaleControl = "stale_control"
	// NoCounter: nothing came back, but the chain that should have dropped it did not
	// count it, so that something else may be the reason.
	NoCounter = "no_counter"
	// NoRights: this process may not send such packets.
	NoRights = "no_rights"
	// NoAddress: the endpoint has no address or no route now with which to try it.
	NoAddress = "no_address"
	// Failed: the trial itself failed.
	Failed = "error"
)
