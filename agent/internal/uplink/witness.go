package uplink

import (
	"log/slog"
	"strings"
	"time"

	"hozen/agent/internal/identity"
	"hozen/agent/internal/witness"
	"hozen/internal/capability"
	"hozen/internal/custody"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/digest"
	"hozen/internal/pki"
	agentv1 "hozen/proto/hozen/agent/v1"
	"hozen/proto/wire"
)

// Witness remembers the states of the collector's ledger; [*witness.Store] fits.
type Witness interface {
	Seen(owner string) (checkpoint.Checkpoint, int)
	Show(owner, name string, c witness.Shown, now time.Time) *witness.Conflict
	Untold(owner string) []witness.Conflict
	Told(id string)
}

// LedgerOwner names the enrolment in whose name an agent is a witness.
func LedgerOwner(e identity.Enrolment) string {
	return e.EndpointID + "/" + pki.Fingerprint(e.CA)
}

// ledgerName is how the logs of the collector begin: it is made of the CA that the agent
// was enrolled with.
func ledgerName(e identity.Enrolment) string { return "hozen-custody/" + pki.Fingerprint(e.CA)[:16] }

// note is the state that Hello tells.
func (u *Uplink) note(e identity.Enrolment) []byte {
	if u.cfg.Witness == nil {
		return nil
	}
	seen, _ := u.cfg.Witness.Seen(LedgerOwner(e))
	return []byte(seen.Note)
}

// shown takes a state that the collector shows.
func (s *session) shown(m *agentv1.Checkpoint) {
	if s.u.cfg.Witness == nil || m == nil {
		return
	}
	s.u.cfg.Witness.Show(LedgerOwner(s.e), ledgerName(s.e), witness.Shown{
		Note: string(m.GetNote()), VerifierKey: m.GetVerifierKey(), From: int64(m.GetFromSize()), Proof: m.GetConsistency(),
	}, time.Now())
}

// sendConflicts tells the conflicts that were not sent lately.
func (s *session) sendConflicts() error {
	if s.u.cfg.Witness == nil || s.understands < capability.Witness {
		return nil
	}
	for _, c := range s.u.cfg.Witness.Untold(LedgerOwner(s.e)) {
		if time.Since(s.sent[c.ID]) < s.u.cfg.ResendAfter {
			continue
		}
		s.sent[c.ID] = time.Now()
		if err := s.send(&agentv1.ConnectRequest{Body: &agentv1.ConnectRequest_LedgerConflict{LedgerConflict: toConflict(c)}}); err != nil {
			return err
		}
	}
	return nil
}

func toConflict(c witness.Conflict) *agentv1.LedgerConflict {
	return &agentv1.LedgerConflict{
		ConflictId: c.ID, Kind: agentv1.LedgerConflictKind(agentv1.LedgerConflictKind_value["LEDGER_CONFLICT_KIND_"+strings.ToUpper(string(c.Kind))]),
		Seen: []byte(c.Seen), Shown: []byte(c.Shown), At: wire.Timestamp(c.At), Detail: wire.Text(c.Detail, wire.MaxDetail),
	}
}

// proof puts the proof that a receipt's entry stands in the signed ledger beside it, if
// there is one and it is right. A receipt counts without.
func (up *uploader) proof(signed *custody.Signed, r custody.Receipt, m *agentv1.Receipt) {
	if len(m.GetCheckpointNote()) == 0 {
		return
	}
	err := func() error {
		_, key, err := checkpoint.ParseKey(m.GetVerifierKey())
		if err != nil {
			return err
		}
		c, err := checkpoint.Open(string(m.GetCheckpointNote()), key)
		if err != nil {
			return err
		}
		leaf, err := digest.Parse(r.Ledger.LeafSHA256)
		if err != nil {
			return err
		}
		return checkpoint.CheckInclusion(c, r.Ledger.Index, [32]byte(leaf), m.GetInclusion())
	}()
	if err != nil {
		up.u.cfg.Log.Error("the proof beside a receipt is not right, and is not kept", slog.String("acquisition", r.AcquisitionID), slog.Any("error", err))
		return
	}
	signed.Checkpoint, signed.VerifierKey, signed.Inclusion = string(m.GetCheckpointNote()), m.GetVerifierKey(), m.GetInclusion()
}
