package localapi

import (
	"context"
	"io"

	"hozen/collector/internal/act"
	"hozen/collector/internal/kit"
	"hozen/internal/artifact/record"
	"hozen/internal/usbkit"
)

// KitOrder is the request of kit.build.
type KitOrder struct {
	Incident string        `json:"incident,omitempty"`
	Profile  string        `json:"profile"`
	Language string        `json:"language"`
	Agents   []usbkit.File `json:"agents"`
}

// Kit is a USB kit but for its programs.
type Kit struct {
	Kit    usbkit.Kit        `json:"kit"`
	SHA256 string            `json:"sha256"`
	Files  map[string][]byte `json:"files,omitempty"` // base64
}

func kitBuild(ctx context.Context, c *call, in KitOrder) (any, error) {
	m, err := c.acts.BuildKit(ctx, c.actor, act.NewKit{IncidentID: in.Incident, Profile: in.Profile, Language: in.Language, Agents: in.Agents})
	return Kit{m.Kit, m.SHA256, m.Files}, err
}

// ImportOrder is the request of kit.import; the stick comes beside it, as a zip.
type ImportOrder struct {
	Incident      string   `json:"incident,omitempty"`
	ReceiptCodes  []string `json:"receipt_codes,omitempty"`
	AcceptForeign bool     `json:"accept_foreign,omitempty"`
}

// Imported is what came of a stick.
type Imported struct {
	KitID    string           `json:"kit_id,omitempty"`
	Ours     bool             `json:"kit_is_ours"`
	Wrong    bool             `json:"problems_found"`
	Problems []ImportProblem  `json:"problems"` // of the kit itself
	Results  []ImportedResult `json:"results"`
}

// ImportProblem is one thing that is wrong.
type ImportProblem struct {
	File   string `json:"file"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
}

// ImportedResult is what became of one acquisition.
type ImportedResult struct {
	AcquisitionID string          `json:"acquisition_id"`
	State         string          `json:"state"` // imported, already, refused, unfinished
	Problems      []ImportProblem `json:"problems"`
	Parts         []string        `json:"parts,omitempty"` // of an unfinished one
	EndpointID    string          `json:"endpoint_id,omitempty"`
	Endpoint      string          `json:"endpoint,omitempty"`
	Match         string          `json:"endpoint_by,omitempty"`
	Incident      string          `json:"incident_number,omitempty"`
	Items         int             `json:"items"`
	ReceiptCode   string          `json:"receipt_code,omitempty"` // only when it was compared
	CodeCompared  bool            `json:"receipt_code_compared"`
	Foreign       bool            `json:"foreign_kit,omitempty"`
	Statement     *record.Kit     `json:"statement,omitempty"`
}

func kitImport(ctx context.Context, c *call, in ImportOrder, stick io.Reader) (any, error) {
	x, err := c.acts.ImportKit(ctx, c.actor, act.ImportOrder{IncidentID: in.Incident, ReceiptCodes: in.ReceiptCodes, AcceptForeign: in.AcceptForeign}, stick)
	return Imported{x.KitID, x.Ours, x.Wrong(), views(x.Problems, viewProblem), views(x.Results, viewImported)}, err
}

func viewProblem(p kit.Problem) ImportProblem { return ImportProblem{p.File, p.Code, p.Detail} }

func viewImported(r act.ImportedResult) ImportedResult {
	return ImportedResult{r.AcquisitionID, r.State, views(r.Problems, viewProblem), r.Parts, r.EndpointID, r.Endpoint, r.Match, r.Incident, r.Items,
		r.ReceiptCode, r.CodeCompared, r.Foreign, r.Statement}
}
