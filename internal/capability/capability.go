// Package capability holds the one number that says what an agent or a collector
// understands on the wire. Agents in the field are older than their collector, so
// each number has a dated line and none is ever reused. It knows nothing of gRPC.
package capability

// Number counts additions to the protocol. Both ends send theirs when they meet.
type Number uint32

// History:
//
//	1: 2026-11-22: enrolment, control stream, Acquire, Isolate, Release, resumable upload, signed receipts.
//	2: 2026-11-22: Preserve, Attention, evidence with the triggers shutdown, suspend, boot and preserve.
//	3: 2026-11-23: isolation with modes, permits, an end, confirmation, lease, release code and notice; IsolationEvent;
//	   evidence with the trigger isolation_proof.
//	4: 2026-11-23: agents as witnesses of the custody ledger: Checkpoint, LedgerConflict, checkpoints in Hello and
//	   Receipt, the checkpoint that was seen in the manifest of evidence.
//	5: 2026-11-23: what stays open for tunnels in the status of an isolation, and its change as an event of its own;
//	   others' rules that accept packets as an event.
//	6: 2026-11-23: Configure with the keys of the organisation and its privacy scope; parts that waited encrypted; bytes
//	   and rate in the progress of an acquisition.
const (
	// Current is what this build understands.
	Current Number = 6
	// OldestAgent is the oldest agent that a collector of this build still serves.
	OldestAgent Number = 1
	// Preserve is the oldest number that knows the order Preserve and the word Attention.
	Preserve Number = 2
	// Isolation is the oldest number that knows more of an order to isolate than its
	// mode standard, and that tells and is told of isolation events.
	Isolation Number = 3
	// Witness is the oldest number that knows checkpoints of the custody ledger.
	Witness Number = 4
	// Tunnels is the oldest number that knows the events of a changed tunnel and of others' rules.
	Tunnels Number = 5
	// Sealed is the oldest number that sends, or takes, parts that waited encrypted, and what
	// the organisation has set.
	Sealed Number = 6
)
