package group

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries. Their subject is the order to the group, that of the two on
// orders which wait for a second person what was asked.
const (
	ActIsolate = "group.isolate"
	ActRelease = "group.release"
	ActMembers = "group.members" // who is a member, with which command; again when it is cut
	ActAsk     = "group.ask"
	ActRefuse  = "group.refuse"
)

// The details that entries of earlier versions lack.
const (
	OrderSHA256   = "order_sha256" // see [Order.Short]
	MembersSHA256 = "members_sha256"
	Incident      = "incident"
	SaidSHA256    = "said_sha256"
	AskedID       = "asked_id" // in the entry of an order that a second person agreed to
)

// Short stands for what the entry of an order does not say: how to isolate, and who was chosen
// by what.
func (o Order) Short() string {
	return short(o.SelectedBy, o.Isolation, fmt.Sprint(sqldb.FormatBool(o.IsolateFirst)))
}

func short(selectedBy, isolation, first string) string {
	return ledger.Short("group", sqldb.CleanText(selectedBy)+"\n"+isolation+"\n"+first)
}

// ShortMembers stands for the members of an order in the database.
func ShortMembers(list []Member) string {
	lines := make([]string, 0, len(list))
	for _, m := range list {
		lines = append(lines, memberLine(m.EndpointID, fmt.Sprint(sqldb.FormatBool(m.Standing)), m.LeftOut, m.CaptureID, m.CommandID))
	}
	return shortMembers(lines)
}

func memberLine(endpoint, standing, leftOut, capture, command string) string {
	return strings.Join([]string{endpoint, standing, leftOut, capture, command}, " ")
}

func shortMembers(lines []string) string {
	return ledger.Short("members", "of the group\n"+strings.Join(slices.Sorted(slices.Values(lines)), "\n"))
}

// ShortSaid stands for what was asked for.
func ShortSaid(said string) string { return ledger.Short("said", sqldb.CleanText(said)) }

// Audit holds the orders to groups against the ledger, by organisation. q is one unchanging
// view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "group_order", []string{"organisation_id", "id", "verb", "phase", "reason", "incident_id", "selected_by", "isolation", "isolate_first", "break_glass", "issuer", "issued_by", "issued_at", "cut_at"},
		func(r map[string]string) (string, string) {
			r["selected_by"] = short(r["selected_by"], r["isolation"], r["isolate_first"])
			delete(r, "isolation")
			delete(r, "isolate_first")
			return r["id"], r["id"]
		})
	if err != nil {
		return nil, fmt.Errorf("audit groups: %w", err)
	}
	members, err := ledger.ReadRows(ctx, q, "group_member", []string{"organisation_id", "group_id", "endpoint_id", "standing", "left_out", "capture_id", "command_id"}, func(r map[string]string) (string, string) {
		return r["group_id"] + " " + r["endpoint_id"], r["group_id"]
	})
	if err != nil {
		return nil, fmt.Errorf("audit groups: %w", err)
	}
	lines := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(members)) {
		m := members[key]
		if r, ok := rows[m.Subject]; !ok || r.OrganisationID != m.OrganisationID {
			rows[key] = ledger.Row{OrganisationID: m.OrganisationID, Subject: m.Subject} // of no group
			continue
		}
		lines[m.Subject] = append(lines[m.Subject], memberLine(m.Says["endpoint_id"], m.Says["standing"], m.Says["left_out"], m.Says["capture_id"], m.Says["command_id"]))
	}
	for id, r := range rows {
		if r.Says != nil {
			r.Says["members"] = shortMembers(lines[id])
		}
	}
	found, err := ledger.EachStanding(ctx, q, []string{ActIsolate, ActRelease, ActMembers}, rows, told)
	if err != nil {
		return nil, fmt.Errorf("audit groups: %w", err)
	}
	return found, nil
}

func told(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	if e.Act == ActMembers {
		t := ledger.Told{Key: e.Subject, Is: map[string]string{"phase": e.Details["phase"], "members": e.Details[MembersSHA256], "cut_at": ""}}
		if e.Details["phase"] == string(Ordered) {
			t.Is["cut_at"] = at
		}
		return []ledger.Told{t}
	}
	t := ledger.Told{Key: e.Subject, Made: true, Is: map[string]string{"id": e.Subject, "verb": e.Details["verb"], "reason": e.Details["reason"], "break_glass": e.Details["break_glass_reason"],
		"issuer": e.ActorName, "issued_by": cmp.Or(e.ActorID, e.ActorKind), "issued_at": at}, Some: []string{"phase", "cut_at", "members"}}
	t.Later(e, "incident_id", Incident)
	t.Later(e, "selected_by", OrderSHA256)
	return []ledger.Told{t}
}

// AuditAsked holds the orders to groups that took a second person against the ledger, by
// organisation. q is one unchanging view. The error is only about not being able to look.
func AuditAsked(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	rows, err := ledger.ReadRows(ctx, q, "group_asked", []string{"organisation_id", "id", "verb", "said", "reason", "asked_by", "asked_name", "asked_at", "decided_by", "decided_name", "decided_at", "decision", "group_id"},
		func(r map[string]string) (string, string) {
			r["said"] = ShortSaid(r["said"])
			return r["id"], r["id"]
		})
	if err == nil {
		var found map[string][]ledger.Difference
		if found, err = ledger.EachStanding(ctx, q, []string{ActAsk, ActRefuse, ActIsolate, ActRelease}, rows, toldOfAsked); err == nil {
			return found, nil
		}
	}
	return nil, fmt.Errorf("audit what was asked for groups: %w", err)
}

func toldOfAsked(e ledger.Recorded) []ledger.Told {
	at := sqldb.FormatTime(e.Told)
	decided := func(d Decision, group string) map[string]string {
		return map[string]string{"decided_by": e.ActorID, "decided_name": e.ActorName, "decided_at": at, "decision": string(d), "group_id": group}
	}
	switch e.Act {
	case ActAsk:
		t := ledger.Told{Key: e.Subject, Made: true, Is: map[string]string{"id": e.Subject, "verb": e.Details["verb"], "reason": e.Details["reason"], "asked_by": e.ActorID, "asked_name": e.ActorName, "asked_at": at}}
		t.Later(e, "said", SaidSHA256)
		for _, column := range []string{"decided_by", "decided_name", "decided_at", "decision", "group_id"} {
			if len(t.Some) == 0 {
				t.Is[column] = ""
			} else { // whose agreement was not named
				t.Some = append(t.Some, column)
			}
		}
		return []ledger.Told{t}
	case ActRefuse:
		return []ledger.Told{{Key: e.Subject, Is: decided(Refused, "")}}
	}
	if asked := e.Details[AskedID]; asked != "" {
		return []ledger.Told{{Key: asked, Is: decided(Agreed, e.Subject)}}
	}
	return nil
}
