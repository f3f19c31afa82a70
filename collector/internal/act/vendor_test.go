package act_test

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
)

// matter is one incident with one of everything.
type matter struct {
	incident, number, endpoint, command, acquisition, evidence, exhibit, export, group string
}

func (o *office) matter(hostname string) matter {
	t, ctx := o.t, o.t.Context()
	t.Helper()
	pc := o.pc(hostname)
	inc, err := o.OpenIncident(ctx, o.owner, act.NewIncident{Title: hostname, EndpointIDs: []string{pc.endpoint.ID}})
	ok(t, err)
	c, err := o.Acquire(ctx, o.owner, pc.endpoint.ID, act.Order{IncidentID: inc.ID})
	ok(t, err)
	m := matter{incident: inc.ID, number: inc.Number, endpoint: pc.endpoint.ID, command: c.ID}
	m.acquisition = pc.send("flash", map[artifact.Kind][]string{artifact.KindProcess: {`{"pid":1,"name":"init"}`}})
	items, err := o.Evidence(ctx, o.owner, inc.ID)
	ok(t, err)
	if len(items) == 0 {
		t.Fatal("no evidence")
	}
	m.evidence, m.exhibit = items[0].ID, inc.Number+"-E01"
	r, err := o.OrderExport(ctx, o.owner, act.NewExport{IncidentID: inc.ID, Recipient: "警察", Purpose: "届出"})
	ok(t, err)
	m.export = r.ID
	sel, g := act.Selection{IncidentID: inc.ID}, act.GroupOrder{Verb: dispatch.Release, Order: act.Order{Reason: "because", IncidentID: inc.ID}}
	pv, err := o.PreviewGroup(ctx, o.owner, sel, g)
	ok(t, err)
	g.Confirmed = pv.Fingerprint
	made, err := o.OrderGroup(ctx, o.owner, sel, g)
	ok(t, err)
	m.group = made.ID
	return m
}

// TestVendorByActByGrant goes through every act that is open to somebody from outside: of
// an incident that was granted, of one that was not, and of one whose time is over.
func TestVendorByActByGrant(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx, o := t.Context(), newOffice(t, x)
		granted, other := o.matter("granted"), o.matter("other")
		vendor := x.person("vendor", operator.Vendor)
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, granted.incident, x.clock.Add(24*time.Hour)))

		// Each returns how many things it showed.
		one := func(v any, err error) (int, error) {
			if err != nil && !reflect.ValueOf(v).IsZero() {
				return 1, fmt.Errorf("%w, and it showed %+v", err, v)
			}
			return 1, err
		}
		some := func(v any, err error) (int, error) { return reflect.ValueOf(v).Len(), err }
		do := map[string]func(a act.Actor, m matter) (int, error){
			"Incident":             func(a act.Actor, m matter) (int, error) { return one(x.Incident(ctx, a, m.incident)) },
			"Incident by number":   func(a act.Actor, m matter) (int, error) { return one(x.Incident(ctx, a, m.number)) },
			"Timeline":             func(a act.Actor, m matter) (int, error) { return some(x.Timeline(ctx, a, m.incident)) },
			"Endpoint":             func(a act.Actor, m matter) (int, error) { return one(x.Endpoint(ctx, a, m.endpoint)) },
			"Acquisitions":         func(a act.Actor, m matter) (int, error) { return some(x.Acquisitions(ctx, a, m.incident)) },
			"EndpointAcquisitions": func(a act.Actor, m matter) (int, error) { return some(x.EndpointAcquisitions(ctx, a, m.endpoint)) },
			"Evidence":             func(a act.Actor, m matter) (int, error) { return some(x.Evidence(ctx, a, m.incident)) },
			"AcquisitionItems":     func(a act.Actor, m matter) (int, error) { return some(x.AcquisitionItems(ctx, a, m.acquisition)) },
			"EvidenceItem":         func(a act.Actor, m matter) (int, error) { return one(x.EvidenceItem(ctx, a, m.evidence)) },
			"Sealed":               func(a act.Actor, m matter) (int, error) { return one(x.Sealed(ctx, a, m.acquisition)) },
			"OpenEvidence": func(a act.Actor, m matter) (int, error) {
				it, r, err := x.OpenEvidence(ctx, a, m.evidence, act.ToDownload)
				if err == nil {
					_, _ = io.Copy(io.Discard, r)
					_ = r.Close()
				}
				return one(it, err)
			},
			"AddNote": func(a act.Actor, m matter) (int, error) { return 1, x.AddNote(ctx, a, m.incident, "n") },
			"Commands": func(a act.Actor, m matter) (int, error) {
				return some(x.Commands(ctx, a, act.CommandFilter{EndpointID: m.endpoint}))
			},
			"Command": func(a act.Actor, m matter) (int, error) { return one(x.Command(ctx, a, m.command)) },
			"Custody": func(a act.Actor, m matter) (int, error) { return one(x.Custody(ctx, a, m.incident)) },
			"Exhibit": func(a act.Actor, m matter) (int, error) {
				e, _, err := x.Exhibit(ctx, a, m.exhibit)
				return one(e, err)
			},
			"Exports": func(a act.Actor, m matter) (int, error) { return some(x.Exports(ctx, a, m.incident)) },
			"Export":  func(a act.Actor, m matter) (int, error) { return one(x.Export(ctx, a, m.export)) },
			"Group": func(a act.Actor, m matter) (int, error) {
				g, members, err := x.Group(ctx, a, m.group)
				if err != nil && len(members) > 0 {
					t.Error("the members of a foreign group are shown")
				}
				return one(g, err)
			},
			"Record":    func(a act.Actor, m matter) (int, error) { return one(x.Record(ctx, a, m.incident)) },
			"Workplan":  func(a act.Actor, m matter) (int, error) { return one(x.Workplan(ctx, a, m.incident)) },
			"Deadlines": func(a act.Actor, m matter) (int, error) { return one(x.Deadlines(ctx, a, m.incident)) },
		}
		check := func(m matter, shown bool) {
			t.Helper()
			for name, f := range do {
				n, err := f(vendor, m)
				switch {
				case shown && (err != nil || n == 0):
					t.Errorf("%s of a granted incident: %d, %v", name, n, err)
				case !shown && err == nil && n > 0:
					t.Errorf("%s of an incident that was not granted shows %d", name, n)
				case !shown && err != nil && !errors.Is(err, act.ErrNotFound):
					t.Errorf("%s of an incident that was not granted: %v; it must not exist", name, err)
				}
				if _, err := f(x.owner, m); err != nil {
					t.Errorf("%s by an owner: %v", name, err)
				}
			}
		}
		before := len(x.acts(other.evidence))
		check(granted, true)
		check(other, false)
		if n := len(x.acts(other.evidence)); n != before+1 { // the owner's own look
			t.Errorf("a refused look left %d entries", n-before)
		}

		// Lists have the granted one alone.
		incidents, err := x.Incidents(ctx, vendor)
		if err != nil || len(incidents) != 1 || incidents[0].ID != granted.incident {
			t.Errorf("incidents: %+v, %v", incidents, err)
		}
		endpoints, err := x.Endpoints(ctx, vendor)
		if err != nil || len(endpoints) != 1 || endpoints[0].ID != granted.endpoint {
			t.Errorf("endpoints: %+v, %v", endpoints, err)
		}
		groups, err := x.Groups(ctx, vendor, 10)
		if err != nil || len(groups) != 1 || groups[0].ID != granted.group {
			t.Errorf("groups: %+v, %v", groups, err)
		}
		for name, f := range map[string]func() (int, error){
			"Operators":          func() (int, error) { return some(x.Operators(ctx, vendor)) },
			"EnrollmentRequests": func() (int, error) { return some(x.EnrollmentRequests(ctx, vendor)) },
			"OwnContacts":        func() (int, error) { return some(x.OwnContacts(ctx, vendor)) },
		} {
			if n, err := f(); n != 0 || err != nil {
				t.Errorf("%s shows %d to somebody from outside, %v", name, n, err)
			}
		}
		if _, err := x.LedgerEntries(ctx, vendor, act.LedgerFilter{}); !errors.Is(err, act.ErrForbidden) {
			t.Errorf("the ledger: %v", err)
		}
		if _, err := x.WriteExport(ctx, vendor, granted.export, io.Discard); !errors.Is(err, act.ErrForbidden) {
			t.Errorf("an evidence package: %v", err)
		}

		// A grant ends by itself, and at once when it is taken back.
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, other.incident, x.clock.Add(time.Hour)))
		check(other, true)
		ok(t, x.EndGrant(ctx, x.owner, vendor.ID, other.incident))
		check(other, false)
		x.clock = x.clock.Add(24 * time.Hour)
		check(granted, false)
		if n, err := some(x.Incidents(ctx, vendor)); n != 0 || err != nil {
			t.Errorf("%d incidents after the end, %v", n, err)
		}
		for _, name := range []string{"operator.grant", "operator.end_grant"} {
			if !slices.Contains(x.acts(vendor.ID), name) {
				t.Errorf("no %s in the ledger", name)
			}
		}
		x.ledgerStands()
	})
}

func TestOnlyPeopleFromOutsideAreGrantedIncidents(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "t"})
		ok(t, err)
		vendor, handler := x.person("vendor", operator.Vendor), x.person("handler", operator.Handler)
		later := x.clock.Add(time.Hour)
		wantErr(t, x.GrantIncident(ctx, x.owner, handler.ID, inc.ID, later), act.ErrConflict)
		wantErr(t, x.GrantIncident(ctx, x.owner, vendor.ID, "inc_none", later), act.ErrNotFound)
		wantErr(t, x.GrantIncident(ctx, x.owner, "opr_none", inc.ID, later), act.ErrNotFound)
		wantInvalid(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock), "until", "range")
		wantInvalid(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, x.clock.Add(operator.MaxGrant+time.Second)), "until", "range")
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, later))
		ok(t, x.DisableOperator(ctx, x.owner, vendor.ID))
		wantErr(t, x.GrantIncident(ctx, x.owner, vendor.ID, inc.ID, later), act.ErrConflict)
		if _, err := x.Incident(ctx, vendor, inc.ID); !errors.Is(err, act.ErrForbidden) {
			t.Errorf("somebody who was disabled: %v", err)
		}
	})
}

func TestVendorHearsOfTheGrantedIncidentAlone(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		ctx := t.Context()
		a, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "granted"})
		ok(t, err)
		b, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: "other"})
		ok(t, err)
		vendor := x.person("vendor", operator.Vendor)
		ok(t, x.GrantIncident(ctx, x.owner, vendor.ID, a.ID, x.clock.Add(time.Hour)))
		events, cancel, err := x.Listen(ctx, vendor)
		ok(t, err)
		defer cancel()
		ok(t, x.AddNote(ctx, x.owner, b.ID, "secret"))
		ok(t, x.AddNote(ctx, x.owner, a.ID, "shown"))
		select {
		case e := <-events:
			if e.IncidentID != a.ID {
				t.Errorf("heard of %+v", e)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("nothing was heard")
		}
	})
}
