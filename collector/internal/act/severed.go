package act

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
)

// severed is the thing of a restraint that is about connections that a cut ended.
const severed = "severed"

// What a line keeps of the connections, so that a ledger that is kept for ever stays small; the
// evidence of the isolation has all of them.
const (
	maxSeveredLines = 8
	maxSeveredLine  = 240 // bytes
)

// severedLine records what a cut ended that is not recorded yet: programs lost their
// connections, and an incident's timeline says which and of what programs.
func (s *Acts) severedLine(ctx context.Context, d *deed, e endpoint.Endpoint, i endpoint.IsolationStatus) error {
	now := i.More.Severed
	if now == nil || now.Destroyed+now.Failed == 0 || i.CommandID == "" {
		return nil
	}
	ended, failed := now.Destroyed, now.Failed
	if was := e.Isolation.More.Severed; was != nil && e.Isolation.CommandID == i.CommandID {
		// Connections are counted from the order on; how many are still there is said anew.
		if now.Destroyed <= was.Destroyed && now.Failed <= was.Failed {
			return nil
		}
		ended -= min(ended, was.Destroyed)
	}
	held, ok := s.restraint.may(e.ID, severed, d.now)
	if !ok {
		d.after = append(d.after, func() { s.restraint.hold(e.ID, severed, d.now) })
		return nil
	}
	facts := map[string]string{
		"endpoint": e.ID, "command": i.CommandID, "n": strconv.FormatUint(uint64(ended), 10),
		"connections": severedText(now.First), "detail": now.Detail,
	}
	if failed > 0 {
		facts["failed"] = strconv.FormatUint(uint64(failed), 10)
	}
	if i.More.Drill {
		facts["drill"] = "true"
	}
	held.tell(facts)
	d.after = append(d.after, func() { s.restraint.wrote(e.ID, severed, d.now) })
	idx, err := d.record(ctx, "endpoint.severed", e.ID, facts)
	if err != nil {
		return err
	}
	inc, err := s.happenedIn(ctx, d, e.ID, i.CommandID)
	if errors.Is(err, incident.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.line(ctx, d, inc, e.ID, incident.Entry{Kind: incident.EntrySevered, AgentAt: now.At, Params: facts, LedgerIdx: idx})
}

// severedText are the first of the connections, one a line.
func severedText(first []string) string {
	var b strings.Builder
	for n, line := range first {
		if n == maxSeveredLines {
			break
		}
		if n > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(strings.ToValidUTF8(line[:min(len(line), maxSeveredLine)], ""))
	}
	return b.String()
}
