package act

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/id"
)

// Report is what an endpoint says of a command: that it has stored it, or what came of it.
type Report struct {
	CommandID string
	At        time.Time                 // collector clock, when it was heard
	Result    *dispatch.Result          // nil: it has stored the command
	Isolation *endpoint.IsolationStatus // as it was measured after the result; nil: it was not
}

// told are reports of one endpoint that are to be recorded.
type told struct {
	endpointID string
	take       func() []Report
	done       chan struct{}

	// Valid after done.
	alone   bool  // they were not recorded, each must be on its own
	refused error // why what these say can never be recorded
}

// maxReporting bounds the endpoints whose reports are recorded in one transaction.
const maxReporting = 256

// reporting is what waits to be recorded. The zero value is ready.
type reporting struct {
	mu      sync.Mutex
	waiting []*told
	busy    bool // somebody records
}

// add reports whether the caller must have somebody record.
func (r *reporting) add(t *told) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = append(r.waiting, t)
	begin := !r.busy
	r.busy = true
	return begin
}

// drop takes reports out, unless they are being recorded.
func (r *reporting) drop(t *told) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.waiting)
	r.waiting = slices.DeleteFunc(r.waiting, func(o *told) bool { return o == t })
	return len(r.waiting) < n
}

// next takes out what is recorded next; nothing when nobody waits. Of one endpoint it
// takes only the first.
func (r *reporting) next() []*told {
	r.mu.Lock()
	defer r.mu.Unlock()
	var now, later []*told
	of := make(map[string]bool, len(r.waiting))
	for _, t := range r.waiting {
		if of[t.endpointID] || len(now) == maxReporting {
			later = append(later, t)
			continue
		}
		of[t.endpointID] = true
		now = append(now, t)
	}
	r.waiting = later
	r.busy = len(now) > 0
	return now
}

// CommandAcked records that the endpoint has stored a command, and that it said so
// just now. Again is no error. One that was withdrawn meanwhile, or expired here, is
// carried out: that it was too late is recorded.
func (s *Acts) CommandAcked(ctx context.Context, endpointID, commandID string) error {
	r := Report{CommandID: commandID, At: s.now()} // before other acts are waited for
	return s.CommandsReported(ctx, endpointID, func() []Report { return []Report{r} })
}

// CommandFinished records what came of a command, and the isolation as it was
// measured afterwards when there is one. Again is no error: the first word stands,
// unless the endpoint says afterwards that the PC could not be made to go down, or has
// done what was withdrawn or expired here.
func (s *Acts) CommandFinished(ctx context.Context, endpointID string, r dispatch.Result, i *endpoint.IsolationStatus) error {
	report := Report{CommandID: r.CommandID, At: s.now(), Result: &r, Isolation: i}
	return s.CommandsReported(ctx, endpointID, func() []Report { return []Report{report} })
}

// CommandsReported records several reports of one endpoint in their order, all or none:
// see [Acts.CommandAcked] and [Acts.CommandFinished]. take is called when it is their turn
// to be written, so that what is heard until then is written with them; called again, it
// must return the same.
//
// What many endpoints report at once is read and written together. What one of them may
// not say is refused to it alone and without a fault of the transaction, or it could keep
// all others from being written together. If that fails all the same, each is recorded on
// its own.
func (s *Acts) CommandsReported(ctx context.Context, endpointID string, take func() []Report) error {
	t := &told{endpointID: endpointID, take: take, done: make(chan struct{})}
	if s.asking.reporting.add(t) {
		go s.recordAll(context.WithoutCancel(ctx))
	}
	select {
	case <-t.done:
	case <-ctx.Done():
		if s.asking.reporting.drop(t) {
			return fmt.Errorf("record reports: %w", context.Cause(ctx))
		}
		<-t.done
	}
	if !t.alone {
		return t.refused
	}
	err := s.transact(ctx, func(ctx context.Context, d *deed) error {
		t.refused = nil
		list := take()
		endpoints, err := endpoint.ByIDs(ctx, d.tx, []string{endpointID})
		if err != nil {
			return err
		}
		commands, err := dispatch.ByIDs(ctx, d.tx, commandsOf(list))
		if err != nil {
			return err
		}
		e := endpoints[endpointID]
		if t.refused = d.mayReport(endpointID, e, commands, list); t.refused != nil {
			return nil
		}
		return s.reported(ctx, d, e, commands, list)
	})
	if err != nil {
		return err
	}
	return t.refused
}

// recordAll records what is reported until nothing is.
func (s *Acts) recordAll(ctx context.Context) {
	for {
		all := s.asking.reporting.next()
		if len(all) == 0 {
			return
		}
		alone := s.recordTogether(ctx, all) != nil // a single one also: meanwhile others gather
		for _, t := range all {
			t.alone = alone
			close(t.done)
		}
	}
}

// recordTogether records the reports of many endpoints in one transaction.
func (s *Acts) recordTogether(ctx context.Context, all []*told) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("record reports: %v", p) // it happens again to whose it is
		}
	}()
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		lists := make([][]Report, len(all))
		var endpointIDs, commandIDs []string
		for i, t := range all {
			lists[i] = t.take()
			endpointIDs, commandIDs = append(endpointIDs, t.endpointID), append(commandIDs, commandsOf(lists[i])...)
		}
		endpoints, err := endpoint.ByIDs(ctx, d.tx, endpointIDs)
		if err != nil {
			return err
		}
		commands, err := dispatch.ByIDs(ctx, d.tx, commandIDs)
		if err != nil {
			return err
		}
		whole := map[string]incident.Incident{}
		for i, t := range all {
			e, own := endpoints[t.endpointID], &deed{tx: d.tx, now: d.now, whole: whole}
			if t.refused = own.mayReport(t.endpointID, e, commands, lists[i]); t.refused != nil {
				continue
			}
			if err := s.reported(ctx, own, e, commands, lists[i]); err != nil {
				return err
			}
			d.after = append(d.after, own.after...)
			for _, id := range own.woken {
				d.wake(id)
			}
		}
		return nil
	})
}

// commandsOf are the commands that reports speak of, without what can be none: a text that
// the database does not take would fail the question for all who ask with it.
func commandsOf(list []Report) []string {
	var ids []string
	for _, r := range list {
		if id.Check(id.Command, r.CommandID) == nil && !slices.Contains(ids, r.CommandID) {
			ids = append(ids, r.CommandID)
		}
	}
	return ids
}

// mayReport makes an endpoint the actor of a deed and tells why what it reports can never be
// recorded, before anything of it is. commands are those of which it speaks, and maybe others.
func (d *deed) mayReport(endpointID string, e endpoint.Endpoint, commands map[string]dispatch.Command, list []Report) error {
	if e.ID != endpointID {
		return known(endpoint.ErrNotFound)
	}
	if err := d.as(e); err != nil {
		return err
	}
	for _, r := range list {
		if c, ok := commands[r.CommandID]; !ok || c.EndpointID != e.ID {
			return known(dispatch.ErrNotFound) // another's does not exist
		}
		if r.Result == nil {
			continue
		}
		if err := checkResult(*r.Result); err != nil {
			return err
		}
	}
	return nil
}

// reported records what one endpoint reports, which [deed.mayReport] passed.
func (s *Acts) reported(ctx context.Context, d *deed, e endpoint.Endpoint, commands map[string]dispatch.Command, list []Report) error {
	s.asking.outstanding.forget([]string{e.ID})
	var with time.Time // of the acknowledgement that is recorded with the result behind it
	for k, r := range list {
		c := commands[r.CommandID]
		var err error
		if r.Result != nil {
			err = s.finished(ctx, d, e, &c, *r.Result, r.Isolation, with)
			with = time.Time{}
		} else {
			next := k+1 < len(list) && list[k+1].CommandID == r.CommandID && list[k+1].Result != nil
			if next && c.Status == dispatch.Queued {
				with = r.At
			}
			err = s.acked(ctx, d, &c, r.At, next)
		}
		if err != nil {
			return err
		}
		commands[r.CommandID] = c
	}
	return nil
}

func checkResult(r dispatch.Result) error {
	switch r.Status {
	case dispatch.Done, dispatch.Failed, dispatch.Expired, dispatch.Unsupported, dispatch.Refused:
	default:
		return &Invalid{Field: "status", Code: "unknown", Err: fmt.Errorf("%.40q is no result", r.Status)}
	}
	if err := text("detail", r.Detail, dispatch.MaxDetail, false); err != nil {
		return err
	}
	if r.AcquisitionID != "" {
		if err := id.Check(id.Acquisition, r.AcquisitionID); err != nil {
			return &Invalid{Field: "acquisition_id", Code: "malformed", Err: err}
		}
	}
	return nil
}

// acked is [Acts.CommandAcked] within a deed. With a result following at once, both are
// stored and recorded with that.
func (s *Acts) acked(ctx context.Context, d *deed, c *dispatch.Command, at time.Time, result bool) error {
	if c.Status != dispatch.Queued && !c.EndedHere() {
		return nil
	}
	before := *c
	if !result || before.EndedHere() {
		if err := dispatch.Accept(ctx, d.tx, *c, at); err != nil {
			return err
		}
	}
	c.Status, c.AcceptedAt, c.ReceivedAt, c.Detail = dispatch.Accepted, at, time.Time{}, ""
	if result && !before.EndedHere() {
		return nil
	}
	d.tell(s, Event{Kind: EventCommand, EndpointID: c.EndpointID, IncidentID: c.IncidentID})
	facts := map[string]string{"endpoint": c.EndpointID, "command": string(c.Verb)}
	if before.EndedHere() {
		facts["overrules"], facts["status"], facts["then"] = string(before.Status), string(dispatch.Accepted), string(c.Then)
	}
	idx, err := d.record(ctx, dispatch.ActAccept, c.ID, with(facts, dispatch.AcceptedAt, ledger.OrNone(sqldb.FormatTime(at))))
	if err != nil || !before.EndedHere() {
		return err
	}
	return s.resultLine(ctx, d, *c, incident.Entry{Kind: incident.EntryResult, Params: facts, LedgerIdx: idx})
}

// finished is [Acts.CommandFinished] within a deed. acked is when the acknowledgement came
// that is recorded with it; zero: it has an entry of its own, or never came.
func (s *Acts) finished(ctx context.Context, d *deed, e endpoint.Endpoint, c *dispatch.Command, r dispatch.Result, i *endpoint.IsolationStatus, acked time.Time) error {
	if c.Status.Final() && !overrules(*c, r) {
		return nil
	}
	r.FinishedAt = sane(r.FinishedAt)
	d.command = c
	var more map[string]string
	if c.Status.Final() {
		r, more = lateWord(*c, r)
	}
	if i != nil {
		if err := s.measuredThen(ctx, d, e, *i); err != nil {
			return err
		}
		if err := groupResult(ctx, d, *c, e, *i); err != nil {
			return err
		}
	}
	if err := dispatch.Finish(ctx, d.tx, r, c.AcceptedAt, d.now); err != nil {
		return err
	}
	if !acked.IsZero() {
		more = maps.Clone(more)
		if more == nil {
			more = map[string]string{}
		}
		more[dispatch.AcceptedAt] = sqldb.FormatTime(acked)
	}
	if err := s.endLine(ctx, d, dispatch.ActFinish, *c, r, i, more); err != nil {
		return err
	}
	c.Status, c.Detail, c.FinishedAt, c.ReceivedAt, c.AcquisitionID = r.Status, r.Detail, r.FinishedAt, d.now, r.AcquisitionID
	return nil
}

// commandOf finds a command of the endpoint that speaks; another's does not exist.
func commandOf(ctx context.Context, d *deed, e endpoint.Endpoint, commandID string) (dispatch.Command, error) {
	c, err := dispatch.ByID(ctx, d.tx, commandID)
	if err == nil && c.EndpointID != e.ID {
		err = dispatch.ErrNotFound
	}
	if err != nil {
		return dispatch.Command{}, err
	}
	return c, nil
}
