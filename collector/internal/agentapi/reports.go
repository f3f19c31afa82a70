package agentapi

import (
	"context"
	"sync"

	"hozen/collector/internal/act"
	agentv1 "hozen/proto/hozen/agent/v1"
)

// maxReports bounds the reports of one agent that are written together.
const maxReports = 16

// reports are what an agent says of its commands, on its way to the database. An agent
// that carries an order out at once says so before its acknowledgement is written; what
// arrives until it is the turn of these is written with them.
type reports struct {
	mu    sync.Mutex
	list  []act.Report
	taken bool // nothing can be added any more
	done  chan struct{}
	err   error // valid after done
}

// add adds a report unless it is too late for that.
func (r *reports) add(one act.Report) bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.taken || len(r.list) >= maxReports {
		return false
	}
	r.list = append(r.list, one)
	return true
}

// take returns all of them, and always the same.
func (r *reports) take() []act.Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.taken = true
	return r.list
}

// landed is closed when they are written, or cannot be; nil without any.
func (r *reports) landed() <-chan struct{} {
	if r == nil {
		return nil
	}
	return r.done
}

// reportOf is the report that a message is, if it is one.
func (c *control) reportOf(m *agentv1.ConnectRequest) (act.Report, bool) {
	switch b := m.GetBody().(type) {
	case *agentv1.ConnectRequest_CommandAck:
		return act.Report{CommandID: b.CommandAck.GetCommandId(), At: c.s.cfg.Now()}, true
	case *agentv1.ConnectRequest_CommandResult:
		r := fromResult(b.CommandResult)
		return act.Report{CommandID: r.CommandID, At: c.s.cfg.Now(), Result: &r, Isolation: measured(b.CommandResult.GetIsolation())}, true
	}
	return act.Report{}, false
}

// fly begins to write a report. Whoever calls must [control.land] it before anything else
// of the agent is handled.
func (c *control) fly(ctx context.Context, one act.Report) *reports {
	r := &reports{list: []act.Report{one}, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		defer c.s.recovered(ctx, agentv1.AgentService_Connect_FullMethodName, &r.err)
		r.err = c.write(ctx, r)
	}()
	return r
}

// write writes reports together, or one by one where that fails.
func (c *control) write(ctx context.Context, r *reports) error {
	err := c.s.cfg.Orders.CommandsReported(ctx, c.who.endpointID, r.take)
	if err == nil {
		return nil
	}
	list := r.take()
	for _, one := range list {
		if len(list) > 1 {
			err = c.s.cfg.Orders.CommandsReported(ctx, c.who.endpointID, func() []act.Report { return []act.Report{one} })
		}
		if !c.passOver(ctx, err) {
			return c.s.fault(ctx, "store report on a command", err)
		}
	}
	return nil
}

// land waits until reports are written, and answers the results among them.
func (c *control) land(ctx context.Context, r *reports) error {
	if r == nil {
		return nil
	}
	<-r.done // which ends with the context
	if r.err != nil {
		return r.err
	}
	for _, one := range r.take() {
		if one.Result == nil {
			continue
		}
		m := &agentv1.ConnectResponse{Body: &agentv1.ConnectResponse_ResultReceived{ResultReceived: &agentv1.ResultReceived{CommandId: one.CommandID}}}
		select {
		case c.out <- m:
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
