package act

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/sqldb"
	"hozen/internal/capability"
)

// The bounds of what a person may order of an isolation.
const (
	maxPermits   = 64
	maxWhy       = 256 // bytes of a permit's reason
	maxHost      = 253 // RFC 1035
	maxNotice    = 1 << 10
	maxPhone     = 64
	maxIsolation = 366 * 24 * time.Hour // of an until, a permit and a lease
	minIsolation = 5 * time.Second
	minConfirm   = 5 * time.Second
	maxConfirm   = time.Hour
	// Wider networks than these hold so much of an internet that a permit for them is none.
	widest4, widest6 = 8, 32
)

// Isolate orders: flash acquisition, then cut the network.
func (s *Acts) Isolate(ctx context.Context, a Actor, endpointID string, o Order) (dispatch.Command, error) {
	i, err := s.isolation(o.Isolation)
	if err != nil {
		return dispatch.Command{}, err
	}
	if i.Code, err = s.newCode(); err != nil {
		return dispatch.Command{}, err
	}
	if i, err = read(ctx, s, a, mayIsolate, func(q sqldb.Queryer, a Actor) (dispatch.Isolation, error) {
		return s.asSettled(ctx, q, a.OrganisationID, i)
	}); err != nil {
		return dispatch.Command{}, err
	}
	check := o.check
	o.check = func(ctx context.Context, d *deed, e endpoint.Endpoint) (map[string]string, error) {
		if err := s.mayReplace(ctx, d, e, i); err != nil {
			return nil, err
		}
		if !i.Plain() && capability.Number(e.Capability) < capability.Isolation {
			return nil, &Invalid{Field: "isolation", Code: "old_agent", Err: errors.New("the agent of this endpoint knows isolation in the mode standard only; update it")}
		}
		facts := isolationFacts(i)
		rails := s.rails(e, GroupOrder{OperatorAddr: o.OperatorAddr})
		if d.actor.token != "" && len(rails) > 0 {
			return nil, fmt.Errorf("%w: the collector itself runs there; a person orders that at the console", ErrConflict)
		}
		for _, r := range rails {
			facts["rail_"+string(r)] = "passed" // one PC is cut with one click; the record says which it was
		}
		if check != nil {
			more, err := check(ctx, d, e)
			if err != nil {
				return nil, err
			}
			maps.Copy(facts, more)
		}
		return facts, nil
	}
	return s.order(ctx, a, mayIsolate, endpointID, dispatch.Command{Verb: dispatch.Isolate, IsolateFirst: o.IsolateFirst, Isolation: i}, o)
}

// isolation checks what a person asks for.
func (s *Acts) isolation(i dispatch.Isolation) (dispatch.Isolation, error) {
	now := s.now()
	wrong := func(field, code, format string, args ...any) error {
		return &Invalid{Field: field, Code: code, Err: fmt.Errorf(format, args...)}
	}
	if i.Drill {
		// Whatever else was asked for, what is called a drill is one: it opens by itself.
		notice := i.Notice
		i = s.Drill()
		i.Notice = notice
	}
	switch i.Mode {
	case "":
		i.Mode = dispatch.Standard
	case dispatch.Standard, dispatch.Selective, dispatch.Full:
	default:
		return i, wrong("mode", "unknown", "there is no mode %.20q", i.Mode)
	}
	switch {
	case i.Mode != dispatch.Selective && len(i.Permits) > 0:
		return i, wrong("permits", "conflict", "permits belong to the mode selective")
	case len(i.Permits) > maxPermits:
		return i, wrong("permits", "too_many", "%d, at most %d are taken", len(i.Permits), maxPermits)
	case !i.Until.IsZero() && (i.Until.Before(now.Add(minIsolation)) || i.Until.After(now.Add(maxIsolation))):
		return i, wrong("until", "out_of_range", "it must be at least %v from now and within a year", minIsolation)
	case i.Lease < 0 || i.Lease > maxIsolation:
		return i, wrong("lease", "out_of_range", "it must be within a year")
	case i.ConfirmWithin != 0 && (i.ConfirmWithin < minConfirm || i.ConfirmWithin > maxConfirm):
		return i, wrong("confirm_within", "out_of_range", "it must be %v to %v", minConfirm, maxConfirm)
	case i.ConfirmWithin != 0 && i.Mode == dispatch.Full:
		return i, wrong("confirm_within", "conflict", "in the mode full the collector is never reached")
	case i.Fallback != "" && i.Fallback != dispatch.StayClosed && i.Fallback != dispatch.RollBack:
		return i, wrong("fallback", "unknown", "there is no fallback %.20q", i.Fallback)
	}
	for n := range i.Permits {
		p := &i.Permits[n]
		field := "permits." + strconv.Itoa(n+1)
		p.Network = p.Network.Masked()
		switch {
		case !p.Network.IsValid():
			return i, wrong(field, "malformed", "it names no network")
		case p.Network.Addr().Is4In6():
			return i, wrong(field, "malformed", "write IPv4 addresses as such")
		case p.Network.Addr().Is4() && p.Network.Bits() < widest4, p.Network.Addr().Is6() && p.Network.Bits() < widest6:
			return i, wrong(field, "too_wide", "a network of %d bits is too wide", p.Network.Bits())
		case p.Network.Addr().IsUnspecified() || p.Network.Addr().IsMulticast():
			return i, wrong(field, "no_host", "%s has no addresses of others", p.Network)
		case p.Protocol != "tcp" && p.Protocol != "udp":
			return i, wrong(field, "unknown", "there is no protocol %.10q", p.Protocol)
		case p.First == 0 || p.Last < p.First:
			return i, wrong(field, "malformed", "its ports are not 1 to 65535 in order")
		case strings.TrimSpace(p.Reason) == "":
			return i, wrong(field, "required", "it needs a reason")
		case len(p.Reason) > maxWhy || len(p.Host) > maxHost:
			return i, wrong(field, "too_long", "its reason or host is too long")
		case !hostName(p.Host):
			return i, wrong(field, "malformed", "write the host name in a-z, 0-9, dots and hyphens, one of other letters as xn--…")
		case !p.ExpiresAt.After(now) || p.ExpiresAt.After(now.Add(maxIsolation)):
			return i, wrong(field, "out_of_range", "its end must be in the future and within a year")
		}
	}
	if err := errors.Join(text("notice", i.Notice.Text, maxNotice, false), text("phone", i.Notice.Phone, maxPhone, false)); err != nil {
		return i, err
	}
	i.Code = nil
	if s.recovery == nil && i.Mode == dispatch.Full && i.Until.IsZero() {
		return i, wrong("until", "required", "without a recovery key the mode full needs an end")
	}
	return i, nil
}

// asSettled fills in what the organisation has settled and the order does not say.
func (s *Acts) asSettled(ctx context.Context, q sqldb.Queryer, organisationID string, i dispatch.Isolation) (dispatch.Isolation, error) {
	settings, err := organisation.FindIsolation(ctx, q, organisationID)
	if err != nil {
		return i, err
	}
	if i.Mode == "" {
		i.Mode = dispatch.Standard
	}
	if i.Notice == (dispatch.Notice{}) {
		i.Notice = dispatch.Notice{Text: settings.NoticeText, Phone: settings.NoticePhone}
	}
	if i.Lease == 0 {
		i.Lease = settings.Lease
	}
	return i, nil
}

// isolationFacts is what the ledger keeps of an order to isolate.
func isolationFacts(i dispatch.Isolation) map[string]string {
	f := map[string]string{"mode": string(i.Mode)}
	for n, p := range i.Permits {
		f["permit_"+strconv.Itoa(n+1)] = fmt.Sprintf("%s %s %d-%d until %s: %s", p.Network, p.Protocol, p.First, p.Last, sqldb.FormatTime(p.ExpiresAt), p.Reason)
	}
	if !i.Until.IsZero() {
		f["until"] = sqldb.FormatTime(i.Until)
	}
	if i.ConfirmWithin != 0 {
		f["confirm_within"], f["fallback"] = i.ConfirmWithin.String(), string(i.Fallback)
	}
	if i.Lease != 0 {
		f["lease"] = i.Lease.String()
	}
	if i.Code != nil {
		f["code_number"] = i.Code.Number
	}
	if i.Drill {
		f["drill"] = "true"
	}
	return f
}
