package localapi

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
)

func endpointList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.Endpoints(ctx, c.actor)
	return views(list, viewEndpoint), err
}

// endpoint finds an endpoint by identifier, label or host name. Names that more than
// one endpoint has are refused: an order to the wrong PC is worse than none.
func (c *call) endpoint(ctx context.Context, ref string) (endpoint.Endpoint, error) {
	list, err := c.acts.Endpoints(ctx, c.actor)
	if err != nil {
		return endpoint.Endpoint{}, err
	}
	if i := slices.IndexFunc(list, func(e endpoint.Endpoint) bool { return e.ID == ref }); i >= 0 {
		return list[i], nil
	}
	list = slices.DeleteFunc(list, func(e endpoint.Endpoint) bool {
		return !e.RevokedAt.IsZero() || ref == "" || !strings.EqualFold(e.Label, ref) && !strings.EqualFold(e.Hostname, ref)
	})
	switch len(list) {
	case 1:
		return list[0], nil
	case 0:
		return endpoint.Endpoint{}, fmt.Errorf("%w: no endpoint %.80q", act.ErrNotFound, ref)
	}
	return endpoint.Endpoint{}, invalid("endpoint", "ambiguous", "%d endpoints are called %.80q; name one by its identifier", len(list), ref)
}

func endpointShow(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	return viewEndpoint(e), err
}

func endpointPending(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.EnrollmentRequests(ctx, c.actor)
	return views(list, viewRequest), err
}

func endpointApprove(ctx context.Context, c *call, in Ref) (any, error) {
	return None{}, c.acts.ApproveEnrollment(ctx, c.actor, request(in.Ref))
}

func endpointReject(ctx context.Context, c *call, in Ref) (any, error) {
	return None{}, c.acts.RejectEnrollment(ctx, c.actor, request(in.Ref), in.Reason)
}

// request takes a short code as people type it.
func request(ref string) string {
	if strings.HasPrefix(ref, "enr_") {
		return ref
	}
	code := strings.ToUpper(strings.ReplaceAll(ref, "-", ""))
	if len(code) == 8 {
		return code[:4] + "-" + code[4:]
	}
	return ref
}

func endpointRevoke(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.RevokeEndpoint(ctx, c.actor, e.ID, in.Reason)
}

// Label is the request of endpoint.label.
type Label struct {
	Ref   string `json:"ref"`
	Label string `json:"label"`
}

func endpointLabel(ctx context.Context, c *call, in Label) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	return None{}, c.acts.LabelEndpoint(ctx, c.actor, e.ID, in.Label)
}

// Order is the request of command.order.
type Order struct {
	Verb         string `json:"verb"` // acquire, isolate, release, preserve
	Endpoint     string `json:"endpoint"`
	Profile      string `json:"profile,omitempty"`
	Reason       string `json:"reason,omitempty"`
	Incident     string `json:"incident,omitempty"`
	IsolateFirst bool   `json:"isolate_first,omitempty"`
	Then         string `json:"then,omitempty"`      // of preserve: nothing, power_off, reboot
	Confirmed    string `json:"confirmed,omitempty"` // of preserve: what endpoint.gate returned
	// Isolation is of isolate; of release its notice and phone.
	Isolation Isolate `json:"isolation,omitzero"`
}

// Gate is the answer of endpoint.gate: what switching an endpoint off would cost.
type Gate struct {
	Endpoint  Endpoint          `json:"endpoint"`
	Facts     map[string]string `json:"facts"`
	Confirmed string            `json:"confirmed"` // says in an order that these facts were seen
}

func endpointGate(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	g, err := c.acts.PowerOffGate(ctx, c.actor, e.ID)
	if err != nil {
		return nil, err
	}
	return Gate{viewEndpoint(g.Endpoint), g.Facts(), g.Fingerprint()}, nil
}

func endpointBoots(ctx context.Context, c *call, in Ref) (any, error) {
	e, err := c.endpoint(ctx, in.Ref)
	if err != nil {
		return nil, err
	}
	list, err := c.acts.Boots(ctx, c.actor, e.ID)
	return views(list, viewBoot), err
}

func commandOrder(ctx context.Context, c *call, in Order) (any, error) {
	e, err := c.endpoint(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	i, err := c.isolation(ctx, in.Isolation)
	if err != nil {
		return nil, err
	}
	o := act.Order{Isolation: i, Profile: in.Profile, Reason: in.Reason, IncidentID: in.Incident, IsolateFirst: in.IsolateFirst,
		Then: dispatch.Then(in.Then), Confirmed: in.Confirmed}
	order := map[string]func(context.Context, act.Actor, string, act.Order) (dispatch.Command, error){
		"acquire": c.acts.Acquire, "isolate": c.acts.Isolate, "release": c.acts.Release, "preserve": c.acts.Preserve,
	}[in.Verb]
	if order == nil {
		return nil, invalid("verb", "unknown", "there is no verb %.40q", in.Verb)
	}
	cmd, err := order(ctx, c.actor, e.ID, o)
	return viewCommand(cmd), err
}

// CommandList is the request of command.list.
type CommandList struct {
	Endpoint string `json:"endpoint,omitempty"`
	Incident string `json:"incident,omitempty"`
	Limit    int    `json:"limit,omitempty"`
}

func commandList(ctx context.Context, c *call, in CommandList) (any, error) {
	f := act.CommandFilter{IncidentID: in.Incident, Limit: in.Limit}
	if in.Endpoint != "" {
		e, err := c.endpoint(ctx, in.Endpoint)
		if err != nil {
			return nil, err
		}
		f.EndpointID = e.ID
	}
	list, err := c.acts.Commands(ctx, c.actor, f)
	return views(list, viewCommand), err
}

func commandWithdraw(ctx context.Context, c *call, in Ref) (any, error) {
	return None{}, c.acts.Withdraw(ctx, c.actor, in.Ref, in.Reason)
}

// Wait is the request of command.wait.
type Wait struct {
	CommandID string `json:"command_id"`
	Evidence  bool   `json:"evidence,omitempty"` // wait for the evidence to be accepted too
}

// Event is one line of command.wait: the command when it changed, or progress.
type Event struct {
	Command  *Command  `json:"command,omitempty"`
	Progress *Progress `json:"progress,omitempty"`
}

// Progress is how far an acquisition has come.
type Progress struct {
	AcquisitionID string `json:"acquisition_id"`
	Kind          string `json:"kind"`
	Done          uint32 `json:"done"`
	Total         uint32 `json:"total"`
	Records       uint64 `json:"records"`
	Sealed        bool   `json:"sealed"`
	// Of a probe that takes long: bytes written, of so many (0: nobody knows), a second.
	Bytes    uint64 `json:"bytes,omitempty"`
	Expected uint64 `json:"expected_bytes,omitempty"`
	Rate     uint64 `json:"bytes_per_second,omitempty"`
}

// Waited is the answer of command.wait.
type Waited struct {
	Command     Command      `json:"command"`
	Acquisition *Acquisition `json:"acquisition,omitempty"` // once accepted
	Endpoint    Endpoint     `json:"endpoint"`
}

// lookAgain is how often a waiting call looks without news, in case news were lost.
const lookAgain = 2 * time.Second

func commandWait(ctx context.Context, c *call, in Wait, emit func(any) error) (any, error) {
	cmd, err := c.acts.Command(ctx, c.actor, in.CommandID)
	if err != nil {
		return nil, err
	}
	news, cancel := c.acts.Hub().Subscribe(cmd.OrganisationID)
	defer cancel()
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	last := dispatch.Status("")
	for {
		if cmd, err = c.acts.Command(ctx, c.actor, in.CommandID); err != nil {
			return nil, err
		}
		if cmd.Status != last {
			last = cmd.Status
			v := viewCommand(cmd)
			if err := emit(Event{Command: &v}); err != nil {
				return nil, err
			}
		}
		done, acquisition, err := c.finished(ctx, cmd, in.Evidence)
		if err != nil {
			return nil, err
		}
		if done {
			e, err := c.acts.Endpoint(ctx, c.actor, cmd.EndpointID)
			return Waited{Command: viewCommand(cmd), Acquisition: acquisition, Endpoint: viewEndpoint(e)}, err
		}
		for look := false; !look; {
			select {
			case <-ctx.Done():
				return nil, ctx.Err()
			case <-tick.C:
				look = true
			case n, ok := <-news:
				if p := n.Progress; ok && p != nil && p.CommandID == cmd.ID {
					if err := emit(Event{Progress: &Progress{p.AcquisitionID, p.Kind, p.Done, p.Total, p.Records, p.Sealed, p.Bytes, p.Expected, p.Rate}}); err != nil {
						return nil, err
					}
					continue
				}
				look = n.EndpointID == cmd.EndpointID && n.Progress == nil
			}
		}
	}
}

// finished reports whether nothing more comes of a command; with withEvidence, what
// it acquired must have been accepted.
func (c *call) finished(ctx context.Context, cmd dispatch.Command, withEvidence bool) (bool, *Acquisition, error) {
	if !cmd.Status.Final() {
		return false, nil, nil
	}
	if cmd.AcquisitionID == "" {
		return true, nil, nil
	}
	list, err := c.acts.EndpointAcquisitions(ctx, c.actor, cmd.EndpointID)
	if err != nil {
		return false, nil, err
	}
	if i := slices.IndexFunc(list, func(a evidence.Acquisition) bool { return a.ID == cmd.AcquisitionID }); i >= 0 {
		v := viewAcquisition(list[i])
		return true, &v, nil
	}
	return !withEvidence, nil, nil
}
