package agentapi

import (
	"context"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence"
	"hozen/internal/capability"
	"hozen/internal/custody"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// checkpointEvery is how often a stream that stays open is shown a newer checkpoint: each
// one is a write to the endpoint's disk.
const checkpointEvery = 15 * time.Minute

// witnessing is what one stream knows of its agent as a witness of the ledger.
type witnessing struct {
	knows bool      // the agent understands checkpoints
	held  []byte    // what it holds, as far as it was shown by this stream
	shown time.Time // when it was shown something last
}

// welcomed returns the checkpoint for Welcome, after looking at the one of Hello.
func (c *control) welcomed(ctx context.Context, hello *agentv1.Hello) *agentv1.Checkpoint {
	c.ledger.knows = c.s.cfg.Ledger != nil && capability.Number(hello.GetCapability()) >= capability.Witness
	if !c.ledger.knows {
		return nil
	}
	return c.checkpoint(ctx, hello.GetCheckpointNote())
}

func (c *control) checkpoint(ctx context.Context, held []byte) *agentv1.Checkpoint {
	shown := c.s.cfg.Ledger.EndpointCheckpoint(ctx, c.who.endpointID, held)
	c.ledger.shown, c.ledger.held = c.s.cfg.Now(), held
	if shown.Note == "" || len(shown.Note) > wire.MaxNote {
		return nil
	}
	c.ledger.held = []byte(shown.Note)
	return &agentv1.Checkpoint{Note: []byte(shown.Note), VerifierKey: shown.VerifierKey, FromSize: uint64(max(shown.From, 0)), Consistency: shown.Consistency}
}

// sendCheckpoint shows a newer checkpoint on a stream that has been open for long.
func (c *control) sendCheckpoint(ctx context.Context) error {
	if !c.ledger.knows || c.s.cfg.Now().Sub(c.ledger.shown) < checkpointEvery {
		return nil
	}
	before := string(c.ledger.held)
	m := c.checkpoint(ctx, c.ledger.held)
	if m == nil || string(m.GetNote()) == before {
		return nil
	}
	return c.send(ctx, &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_Checkpoint{Checkpoint: m}})
}

// conflict hands on what the agent noticed as a witness.
func (c *control) conflict(ctx context.Context, m *agentv1.LedgerConflict) (*agentv1.ConnectResponse, error) {
	if c.s.cfg.Ledger != nil {
		kind := strings.ToLower(strings.TrimPrefix(m.GetKind().String(), "LEDGER_CONFLICT_KIND_"))
		if err := c.s.cfg.Ledger.LedgerConflict(ctx, c.who.endpointID, act.ConflictCall{
			ID: m.GetConflictId(), Kind: kind, Seen: string(m.GetSeen()), Shown: string(m.GetShown()), At: wire.Time(m.GetAt()), Detail: m.GetDetail(),
		}); err != nil {
			return nil, c.s.fault(ctx, "store conflict of the ledger", err)
		}
	}
	return &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_LedgerConflictReceived{LedgerConflictReceived: &agentv1.LedgerConflictReceived{ConflictId: m.GetConflictId()}}}, nil
}

// toReceipt puts the proof that the acceptance stands in the signed ledger beside the
// receipt, where there is one.
func (s *Server) toReceipt(ctx context.Context, endpointID string, r evidence.Receipt) *agentv1.Receipt {
	m := &agentv1.Receipt{Payload: r.Payload, Signature: r.Signature, Certificate: r.Certificate}
	if s.cfg.Ledger == nil {
		return m
	}
	facts, err := custody.Decode(r.Payload)
	if err != nil {
		return m
	}
	if p := s.cfg.Ledger.ReceiptProof(ctx, endpointID, facts.Ledger.Index); p.Note != "" && len(p.Note) <= wire.MaxNote {
		m.CheckpointNote, m.VerifierKey, m.Inclusion = []byte(p.Note), p.VerifierKey, p.Inclusion
	}
	return m
}
