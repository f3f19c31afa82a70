package isolate

import (
	"context"
	"time"
)

// Trials try what the rules should cut and what they should let pass. Reading rules
// back shows what the kernel was told; a trial shows what it does.
type Trials interface {
	// Controls tries every way while the network is still open, so that a way that was
	// never open proves nothing later. It may use nothing that is not tried afterwards. When
	// ctx ends it returns at once what it has: the cut waits.
	Controls(ctx context.Context) Controls
	// Try tries every way through the rules of p. drops reads the counters of the rules
	// in force; it may be called often.
	Try(ctx context.Context, p Policy, c Controls, drops func(context.Context) ([]Drop, error)) []Trial
}

// Controls are the ways that were open before the cut. They stand in the state file, so
// that trials after a restart still have them.
type Controls struct {
	// At is the agent's wall clock when the last of them was tried; zero if none was.
	At time.Time `json:"at,omitzero"`
	// Open are the ways that were open.
	Open []Control `json:"open,omitempty"`
}

// Control is one way that was open.
type Control struct {
	// Name is that of the [Trial] that it is the control of, Target where it went.
	Name   string `json:"name"`
	Target string `json:"target"`
}

// Trial is one thing that was tried through the rules.
type Trial struct {
	// Name is a stable code: protocol or way and IP version, such as "tcp4", "dns6",
	// "raw4", "loopback4", "collector".
	Name string `json:"name"`
	// Outcome is what came of it, Reason a stable code for why if it is not AsOrdered.
	Outcome TrialOutcome `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	// Target is where it went, such as "192.0.2.1:53".
	Target string `json:"target,omitempty"`
	// At is the agent's wall clock when it was over, Took how long it took.
	At   time.Time     `json:"at"`
	Took time.Duration `json:"took_ns"`
	// Chain is the chain that should drop, empty for what should pass; Dropped is how many
	// packets it dropped meanwhile. A Contrary trial with a chain is a leak.
	Chain   string `json:"chain,omitempty"`
	Dropped uint64 `json:"dropped,omitempty"`
}

// TrialOutcome is what came of a trial.
type TrialOutcome string

// The outcomes. A trial of something that should be cut is AsOrdered only if its control
// was open before the cut and the counter of the rule that should drop it rose.
const (
	AsOrdered TrialOutcome = "as_ordered"
	Contrary  TrialOutcome = "contrary"
	NotShown  TrialOutcome = "unknown"
)
