package endpoint

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
)

// The acts of the ledger's entries by which an endpoint's row changes; their subject is the
// endpoint.
const (
	ActApprove  = "enroll.approve"
	ActAdd      = "endpoint.add" // by evidence of a USB kit
	ActLabel    = "endpoint.label"
	ActPlace    = "endpoint.place"
	ActRevoke   = "endpoint.revoke"
	ActDescribe = "endpoint.describe"
)

// Details are what the entry of [ActApprove] or [ActAdd] says of the endpoint, beside others.
func (e Endpoint) Details() map[string]string {
	d := map[string]string{"hostname": e.Hostname, "os": e.OS, "arch": e.Arch, "platform": e.Platform, "agent_version": e.AgentVersion, "boot_id": e.BootID}
	if e.OS == "" {
		d[Emptied] = "os"
	}
	return d
}

// Emptied is the detail that names what an endpoint no longer says, with a space between:
// empty details don't stand in entries. In an entry of [ActApprove] or [ActAdd] it tells one
// that says no system from one of earlier versions.
const Emptied = "emptied"

// Audit holds every endpoint against the ledger, and the ledger against it, by organisation:
// what people said of it and what it last said of itself. Not what is measured all the time
// without an act: when it was seen and from where, its clock, what waits on it, its isolation.
// q is one unchanging view. The error is only about not being able to look.
func Audit(ctx context.Context, q sqldb.Queryer) (map[string][]ledger.Difference, error) {
	tags, err := allTags(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("audit endpoints: %w", err)
	}
	found, err := ledger.AuditStates(ctx, q, `SELECT organisation_id, id, organisation_id AS organisation, label, hostname, os, arch, platform, agent_version, capability, boot_id,
		enrolled_at, revoked_at, site, purpose, origin FROM endpoint_endpoint`,
		[]string{ActApprove, ActAdd, ActLabel, ActPlace, ActRevoke, ActDescribe}, replay, func(id string, columns map[string]string) {
			key := columns["organisation"] + " " + id
			columns["tags"] = strings.Join(slices.Compact(strings.Split(strings.Join(tags[key], ", "), ", ")), ", ")
			delete(tags, key)
		})
	if err != nil {
		return nil, fmt.Errorf("audit endpoints: %w", err)
	}
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		org, id, _ := strings.Cut(key, " ")
		found[org] = append(found[org], ledger.Difference{Code: ledger.Surplus, Subject: id, Detail: "a tag of an endpoint that is not there"})
	}
	events, err := ledger.AuditStates(ctx, q, `SELECT organisation_id, id, endpoint_id, kind, at, received_at, command_id, told_by, detail, differences, seen, times
		FROM endpoint_isolation_event`, []string{ActEvent}, replayEvent, deriveEvent)
	if err != nil {
		return nil, fmt.Errorf("audit isolation events: %w", err)
	}
	boots, err := ledger.AuditStates(ctx, q, bootRows, []string{ActBoot}, replayBoot, deriveBoot)
	if err != nil {
		return nil, fmt.Errorf("audit boots: %w", err)
	}
	for _, more := range []map[string][]ledger.Difference{events, boots} {
		for org, list := range more {
			found[org] = append(found[org], list...)
		}
	}
	return found, nil
}

func replay(s ledger.States, e ledger.Recorded) {
	with := e.Details
	switch e.Act {
	case ActApprove, ActAdd:
		s.Set(e.Subject, "label", "", "hostname", with["hostname"], "origin", with["origin"], "enrolled_at", sqldb.FormatTime(e.Told), "revoked_at", "",
			"site", "", "purpose", "", "tags", "", "capability", "0")
		if with["os"] != "" || with[Emptied] != "" { // entries of earlier versions lack these
			s.Set(e.Subject, "os", with["os"], "arch", with["arch"], "platform", with["platform"], "agent_version", with["agent_version"], "boot_id", with["boot_id"])
		}
	case ActLabel:
		s.Change(e.Subject, "label", with["to"])
	case ActPlace:
		tags := strings.Split(with["tags"], ", ") // earlier versions said one twice
		s.Change(e.Subject, "site", with["site"], "purpose", with["purpose"], "tags", strings.Join(slices.Compact(tags), ", "))
	case ActRevoke:
		s.Change(e.Subject, "revoked_at", sqldb.FormatTime(e.Told))
	case ActDescribe:
		for _, name := range strings.Fields("hostname os arch platform agent_version boot_id capability") {
			if said, ok := with[name]; ok {
				s.Change(e.Subject, name, said)
			}
		}
		for _, name := range strings.Fields(with[Emptied]) {
			s.Change(e.Subject, name, "")
		}
	}
}

// allTags returns the tags of all endpoints, by organisation, a space, and endpoint.
func allTags(ctx context.Context, q sqldb.Queryer) (map[string][]string, error) {
	rows, err := q.QueryContext(ctx, `SELECT organisation_id, endpoint_id, tag FROM endpoint_tag`)
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	defer rows.Close()
	tags := map[string][]string{}
	for rows.Next() {
		var org, id, tag string
		if err := rows.Scan(&org, &id, &tag); err != nil {
			return nil, fmt.Errorf("read tag: %w", err)
		}
		tags[org+" "+id] = append(tags[org+" "+id], tag)
	}
	for _, list := range tags {
		slices.Sort(list)
	}
	return tags, rows.Err()
}
