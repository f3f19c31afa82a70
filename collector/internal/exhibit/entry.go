package exhibit

import (
	"strconv"

	"hozen/collector/internal/sqldb"
)

// The acts that stand in the ledger about exhibits; an event's is "custody." and its type.
const (
	ActAdd       = "custody.add"       // subject: the exhibit
	ActDescribe  = "custody.describe"  // subject: the exhibit
	ActRetention = "custody.retention" // subject: the organisation
	actEvent     = "custody."
)

// What the ledger's entry of a disposal says beside its event.
const (
	RetentionDays  = "retention_days"     // the period that was set then; "0": none
	RetentionSetAt = "retention_set_at"   // since when; absent when none ever was
	ClosedAt       = "incident_closed_at" // of its incident
)

// Act is the name under which an event of the type stands in the ledger.
func (t EventType) Act() string { return actEvent + string(t) }

// Subject is what the ledger's entry of an event is about: the exhibit, or the incident.
func (e Event) Subject() string {
	if e.ItemID == "" {
		return e.IncidentID
	}
	return e.ItemID
}

// Details are what the ledger's entry of an event says. They hold the whole event, so that
// the row can be held against them.
func (e Event) Details(number string) map[string]string {
	return full(map[string]string{
		"number": number, "incident_id": e.IncidentID, "seq": strconv.FormatInt(e.Seq, 10),
		"at": sqldb.FormatTime(e.At), "clock": e.Clock,
		"from_person": e.From.Person, "from_organisation": e.From.Organisation, "to_person": e.To.Person, "to_organisation": e.To.Organisation,
		"place": e.Place, "medium_type": e.Medium.Type, "medium_serial": e.Medium.Serial, "seal_no": e.Medium.SealNo,
		"carrier": e.Carrier, "tracking_no": e.TrackingNo, "purpose": e.Purpose,
		"hash_before": e.HashBefore, "hash_after": e.HashAfter, "result": e.Result, "witness": e.Witness, "text": e.Text,
	})
}

// Details are what the ledger's entry that added an exhibit says.
func (i Item) Details() map[string]string {
	d := map[string]string{
		"number": i.Number, "incident_id": i.IncidentID, "kind": string(i.Kind), "parent": i.Parent,
		"acquisition_id": i.AcquisitionID, "endpoint_id": i.EndpointID,
	}
	for _, c := range i.Changes {
		if c.LedgerIdx == i.LedgerIdx {
			if _, twice := d["field_"+string(c.Field)]; twice {
				c.Value += " twice" // no entry says that
			}
			d["field_"+string(c.Field)] = c.Value
		}
	}
	return full(d)
}

// Details are what the ledger's entry of a change says.
func (c Change) Details(number string) map[string]string {
	return full(map[string]string{"number": number, "field": string(c.Field), "value": c.Value})
}

// full leaves out what says nothing.
func full(d map[string]string) map[string]string {
	for k, v := range d {
		if v == "" {
			delete(d, k)
		}
	}
	return d
}
