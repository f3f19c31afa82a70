package export

import (
	"archive/zip"
	"io"
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
	// Keeper is who has it now in words, for the form alone: also on its way, or disposed of.
	Keeper string `json:"-"`
	Gaps   []Gap  `json:"gaps"`
	Said   []Fact `json:"said"`   // that it was added, and each change of its description
	Events []Fact `json:"events"` // oldest first
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
	printed, err := paper(x.ctx, p, x.src)
	if err != nil {
		return err
	}
	if _, err := x.bag.data("custody/form.html", zip.Deflate, func(w io.Writer) error { return x.form(w, &printed) }); err != nil {
		return err
	}
	if len(p.Exhibits) > 0 {
		if _, err := x.bag.data("custody/form.pdf", zip.Deflate, func(w io.Writer) error { return pdf.CustodyForm(w, printed) }); err != nil {
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
