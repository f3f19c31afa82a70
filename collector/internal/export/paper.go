package export

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/pdf"
)

// CustodyForm writes the custody form (PDF) of the exhibits of p, for signatures by hand.
// The same record gives the same bytes.
func CustodyForm(ctx context.Context, w io.Writer, p *Package, src Source) error {
	f, err := paper(ctx, p, src)
	if err != nil {
		return fmt.Errorf("custody form: %w", err)
	}
	return pdf.CustodyForm(w, f)
}

func paper(ctx context.Context, p *Package, src Source) (pdf.Form, error) {
	f := pdf.Form{Number: p.Number, CaseNumber: p.Frozen.Incident.Number, CaseTitle: p.Frozen.Incident.Title, Organisation: p.Frozen.Organisation, OrderedBy: p.ActorName,
		Recipient: p.Recipient, Purpose: p.Purpose, At: p.At, Zone: time.FixedZone("JST", 9*60*60), LedgerSize: p.LedgerSize, LedgerRoot: p.LedgerRoot}
	if f.OrderedBy == "" {
		f.OrderedBy = p.ActorKind
	}
	if len(p.Stamp) > 0 {
		f.Timestamp = "custody/checkpoint.tsr (RFC 3161)"
	} else {
		f.Timestamp = p.Stamped
	}
	hosts, acquisitions := map[string]*Host{}, map[string]*Acquisition{}
	for i := range p.Frozen.Hosts {
		hosts[p.Frozen.Hosts[i].EndpointID] = &p.Frozen.Hosts[i]
	}
	for i := range p.Acquisitions {
		acquisitions[p.Acquisitions[i].ID] = &p.Acquisitions[i]
	}
	for i := range p.Exhibits {
		x := &p.Exhibits[i]
		e := pageOf(x)
		if h := hosts[x.EndpointID]; h != nil {
			ofHost(&e, h)
		}
		if a := acquisitions[x.AcquisitionID]; a != nil {
			s, err := src.Sealed(ctx, a.ID)
			if err != nil {
				return f, err
			}
			acquired(&e, a, &s)
			if err := measured(ctx, &e, p, a, src); err != nil {
				return f, err
			}
		}
		if n := slices.IndexFunc(p.Frozen.Uploads, func(u Upload) bool { return u.ExhibitID == x.ID }); n >= 0 {
			u := p.Frozen.Uploads[n]
			e.SHA256, e.Size, e.Files = u.SHA256, fmt.Sprintf("%d bytes", u.Size), "1 file"
		}
		if len(p.Stamp) > 0 || len(x.Said) > 0 && x.Said[0].Index < p.StampedSize {
			e.Timestamp = f.Timestamp
		}
		e.Clock.Zone, e.Clock.Offset = also(e.Clock.Zone, x.Fields["clock_zone"]), also(e.Clock.Offset, x.Fields["clock_offset"])
		e.Clock.NTP, e.NetworkState = also(e.Clock.NTP, x.Fields["clock_sync"]), also(e.NetworkState, x.Fields["network_state"])
		f.Exhibits = append(f.Exhibits, e)
	}
	return f, nil
}

// pageOf is what people and events say of an exhibit.
func pageOf(x *Exhibit) pdf.Exhibit {
	of := x.Fields
	e := pdf.Exhibit{Number: x.Number, ParentNumber: x.Parent, Kind: x.Kind, Description: of["description"], Reason: of["reason"], Witness: of["witness"], Custodian: x.Keeper}
	e.Source.Host, e.Source.AssetNumber, e.Source.Maker, e.Source.Model = of["host"], of["asset_no"], of["maker"], of["model"]
	e.Source.Serial, e.Source.OS, e.Source.User, e.Source.Location = of["serial"], of["os"], of["user"], of["location"]
	if owner := of["owner"]; owner != "" {
		e.Source.User = strings.TrimSpace(e.Source.User + " (所有者 owner: " + owner + ")")
	}
	e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role = of["acquired_by"], of["acquired_by_organisation"], of["acquired_by_role"]
	e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis = of["authorised_by"], of["authorised_by_role"], of["authorised_basis"]
	if len(x.Said) > 0 {
		e.LedgerIndex = strconv.FormatInt(x.Said[0].Index, 10)
	}
	for _, g := range x.Gaps {
		to := "…"
		if !g.To.IsZero() {
			to = g.To.UTC().Format(time.DateTime) + " UTC"
		}
		e.Gap = strings.TrimSpace(e.Gap + "\n" + g.From.UTC().Format(time.DateTime) + " – " + to + ": " + pdf.Word(g.Code))
	}
	for _, v := range x.Events {
		d := v.Details
		at, _ := time.Parse(time.RFC3339Nano, d["at"]) // the ledger has it so; otherwise a dash is printed
		seq, _ := strconv.ParseInt(d["seq"], 10, 64)
		line := pdf.Event{Sequence: seq, At: at, Type: strings.TrimPrefix(v.Act, "custody."), From: party(d, "from"), To: party(d, "to"), Place: d["place"],
			Medium: strings.TrimSpace(d["medium_type"] + " " + d["medium_serial"]), Seal: d["seal_no"], Tracking: strings.TrimSpace(d["carrier"] + " " + d["tracking_no"]),
			Purpose: d["purpose"], Result: d["result"], Text: d["text"], Before: d["hash_before"], After: d["hash_after"], Witness: d["witness"], Actor: v.Actor, Entry: "台帳 ledger " + strconv.FormatInt(v.Index, 10)}
		if d["clock"] == "endpoint" {
			line.Clock = "端末の時計 endpoint's clock"
		}
		e.Events = append(e.Events, line)
	}
	return e
}

// ofHost adds what the collector knows of the endpoint, where nobody said it.
func ofHost(e *pdf.Exhibit, h *Host) {
	if e.Source.Host == "" {
		e.Source.Host = h.Hostname
	}
	if e.Source.OS == "" {
		e.Source.OS = strings.TrimSpace(h.Platform + " " + h.OS + " " + h.Arch)
	}
	if !h.ClockAt.IsZero() {
		e.Clock.UTC, e.Clock.Offset = h.ClockAt, seconds(h.ClockOffsetNS)
	}
}

// acquired adds what the endpoint signed of an acquisition.
func acquired(e *pdf.Exhibit, a *Acquisition, s *Sealed) {
	q := &e.Acquisition
	q.Method, q.Profile = "hozen-agent, live ("+a.Trigger+")", a.Profile
	q.Tool, q.ToolSHA256 = s.Tool, s.ToolSHA256
	q.Started, q.Ended, q.Outcome = a.StartedAt, a.FinishedAt, a.Outcome
	var missing []string
	for _, p := range s.Probes {
		if p.Outcome != "complete" && p.Outcome != "empty" {
			missing = append(missing, p.Kind+": "+pdf.Word(p.Outcome))
		}
	}
	q.Errors = strings.Join(missing, "; ")
	var size int64
	for _, it := range a.Items {
		size += it.StoredSize
	}
	if s.CommandID != "" {
		q.Parameters = "指示 command " + s.CommandID
	}
	e.Size, e.Files = fmt.Sprintf("%d bytes", size), strconv.Itoa(len(a.Items))+" files"
	e.ManifestSHA256, e.Signature, e.Clock.BootTime = a.ManifestSHA256, "ECDSA P-256, SHA-256 ("+a.EndpointID+")", s.BootedAt
	if e.LedgerIndex != "" {
		e.LedgerIndex += " / "
	}
	e.LedgerIndex += strconv.FormatInt(a.LedgerIdx, 10)
}

// also is what was measured and, behind it, what a person said of the same.
func also(measured, said string) string {
	if measured == "" || said == "" {
		return measured + said
	}
	return measured + " (" + said + ")"
}

func party(d map[string]string, side string) string {
	person, organisation := d[side+"_person"], d[side+"_organisation"]
	if person != "" && organisation != "" {
		return person + " / " + organisation
	}
	return person + organisation
}
