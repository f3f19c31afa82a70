package export

import (
	"archive/zip"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/pdf"
)

// Exhibit is a piece of evidence as a thing that people hold and pass on. Everything that is
// said of it stands in the ledger, and so can be held against that.
type Exhibit struct {
	ID            string            `json:"id"`
	Number        string            `json:"number"`
	Kind          string            `json:"kind"`
	Parent        string            `json:"parent,omitempty"`
	AcquisitionID string            `json:"acquisition_id,omitempty"`
	EndpointID    string            `json:"endpoint_id,omitempty"`
	Fields        map[string]string `json:"fields"` // what was said last
	Custodian     string            `json:"custodian,omitempty"`
	Gaps          []Gap             `json:"gaps"`
	Said          []Fact            `json:"said"`   // that it was added, and each change of its description
	Events        []Fact            `json:"events"` // oldest first
}

// Gap is an interval in which custody is not shown.
type Gap struct {
	Code string    `json:"code"`
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	Seq  int64     `json:"seq"` // of the event that shows it
}

// Fact is what an entry of the ledger says of an exhibit, or part of it.
type Fact struct {
	Index   int64             `json:"ledger_index"`
	Act     string            `json:"act"`
	Subject string            `json:"subject"`
	Details map[string]string `json:"details"`
	// Actor is who recorded it, for the form alone.
	Actor string `json:"-"`
}

func (x *writer) custody() error {
	p := x.p
	for _, f := range []struct{ name, content string }{
		{"checkpoint.tsr", string(p.Stamp)}, {"checkpoint.txt", p.Checkpoint}, {"cosigned.txt", p.Cosigned},
	} {
		if f.content == "" {
			continue
		}
		if err := x.bag.text("custody/"+f.name, []byte(f.content)); err != nil {
			return err
		}
	}
	if _, err := x.bag.data("custody/entries.jsonl", zip.Deflate, func(w io.Writer) error {
		for _, e := range p.Entries {
			if err := writeLine(w, e); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if len(p.Exhibits) > 0 {
		if err := x.json("custody/exhibits.json", struct {
			Format   string    `json:"format"`
			Exhibits []Exhibit `json:"exhibits"`
			Events   []Fact    `json:"events"`
		}{"hozen-exhibits/1", p.Exhibits, append([]Fact{}, p.Custody...)}); err != nil {
			return err
		}
	}
	if _, err := x.bag.data("custody/form.html", zip.Deflate, x.form); err != nil {
		return err
	}
	if len(p.Exhibits) > 0 {
		if _, err := x.bag.data("custody/form.pdf", zip.Deflate, func(w io.Writer) error { return pdf.CustodyForm(w, x.paper()) }); err != nil {
			return err
		}
	}
	if err := x.json("custody/ledger.json", struct {
		Format          string   `json:"format"`
		Organisation    string   `json:"organisation_id"`
		Size            int64    `json:"size"`
		Root            string   `json:"root_sha256"`
		Entries         int      `json:"entries"`
		Receipts        []Grown  `json:"receipts"`
		CheckpointKey   string   `json:"checkpoint_key,omitempty"`
		CheckpointProof []string `json:"checkpoint_proof,omitempty"`
	}{"hozen-custody/1", p.OrganisationID, p.LedgerSize, p.LedgerRoot, len(p.Entries), append([]Grown{}, p.Grown...), p.CheckpointKey, p.CheckpointProof}); err != nil {
		return err
	}
	if len(p.Stamp) == 0 || p.StampCA == "" {
		return nil
	}
	return x.bag.text("custody/timestamp-ca.pem", []byte(p.StampCA))
}

// paper is the form for signatures by hand.
func (x *writer) paper() pdf.Form {
	p := x.p
	f := pdf.Form{Number: p.Number, CaseNumber: p.Frozen.Incident.Number, CaseTitle: p.Frozen.Incident.Title, Organisation: p.Frozen.Organisation, OrderedBy: p.ActorName,
		Recipient: p.Recipient, Purpose: p.Purpose, At: p.At, Zone: time.FixedZone("JST", 9*60*60), LedgerSize: p.LedgerSize, LedgerRoot: p.LedgerRoot}
	if f.OrderedBy == "" {
		f.OrderedBy = p.ActorKind
	}
	if len(p.Stamp) > 0 {
		f.Timestamp = "custody/checkpoint.tsr (RFC 3161)"
	}
	hosts, acquisitions := map[string]*docHost{}, map[string]*Acquisition{}
	for i := range x.doc.Hosts {
		h := &x.doc.Hosts[i]
		hosts[h.EndpointID] = h
		for _, a := range h.Acquisitions {
			acquisitions[a.ID] = a.acq
		}
	}
	for i := range p.Exhibits {
		f.Exhibits = append(f.Exhibits, paperOf(&p.Exhibits[i], hosts, acquisitions))
	}
	return f
}

func paperOf(x *Exhibit, hosts map[string]*docHost, acquisitions map[string]*Acquisition) pdf.Exhibit {
	e := pdf.Exhibit{Number: x.Number, ParentNumber: x.Parent, Kind: x.Kind, Description: x.Fields["description"], Reason: x.Fields["reason"], Witness: x.Fields["witness"], Custodian: x.Custodian}
	e.Source.Host, e.Source.AssetNumber, e.Source.Maker, e.Source.Model = x.Fields["host"], x.Fields["asset_no"], x.Fields["maker"], x.Fields["model"]
	e.Source.Serial, e.Source.OS, e.Source.User, e.Source.Location = x.Fields["serial"], x.Fields["os"], x.Fields["user"], x.Fields["location"]
	e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role = x.Fields["acquired_by"], x.Fields["acquired_by_organisation"], x.Fields["acquired_by_role"]
	e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis = x.Fields["authorised_by"], x.Fields["authorised_by_role"], x.Fields["authorised_basis"]
	for _, g := range x.Gaps {
		e.Gap = strings.TrimSpace(e.Gap + "\n" + g.Code + ": " + stamp(g.From) + " – " + stamp(g.To))
	}
	if a := acquisitions[x.AcquisitionID]; a != nil {
		e.Acquisition.Profile, e.Acquisition.Started, e.Acquisition.Ended, e.Acquisition.Outcome = a.Profile, a.StartedAt, a.FinishedAt, a.Outcome
		e.ManifestSHA256, e.LedgerIndex = a.ManifestSHA256, strconv.FormatInt(a.LedgerIdx, 10)
		var size int64
		for _, it := range a.Items {
			size += it.StoredSize
		}
		e.Size, e.Files = fmt.Sprintf("%d bytes", size), strconv.Itoa(len(a.Items))
		if h := hosts[a.EndpointID]; h != nil {
			e.Acquisition.Tool, e.Acquisition.ToolVersion = "hozen-agent", h.AgentVersion
			if !h.ClockAt.IsZero() {
				e.Clock.UTC, e.Clock.Offset = h.ClockAt, seconds(h.ClockOffsetNS)
			}
		}
	}
	for _, v := range x.Events {
		d := v.Details
		at, _ := time.Parse(time.RFC3339Nano, d["at"]) // the ledger has it so; otherwise a dash is printed
		seq, _ := strconv.ParseInt(d["seq"], 10, 64)
		e.Events = append(e.Events, pdf.Event{Sequence: seq, At: at, Type: strings.TrimPrefix(v.Act, "custody."), From: party(d, "from"), To: party(d, "to"), Place: d["place"],
			Medium: strings.TrimSpace(d["medium_type"] + " " + d["medium_serial"]), Seal: d["seal_no"], Tracking: strings.TrimSpace(d["carrier"] + " " + d["tracking_no"]),
			Purpose: d["purpose"], Result: strings.TrimSpace(d["result"] + " " + d["text"]), Before: d["hash_before"], After: d["hash_after"], Actor: v.Actor, Entry: strconv.FormatInt(v.Index, 10)})
	}
	return e
}

func party(d map[string]string, side string) string {
	person, organisation := d[side+"_person"], d[side+"_organisation"]
	if person != "" && organisation != "" {
		return person + " (" + organisation + ")"
	}
	return person + organisation
}
