package localapi

import (
	"context"
	"io"
	"path/filepath"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/incident"
)

func incidentList(ctx context.Context, c *call, _ None) (any, error) {
	list, err := c.acts.Incidents(ctx, c.actor)
	return views(list, viewIncident), err
}

func incidentShow(ctx context.Context, c *call, in Ref) (any, error) {
	i, err := c.acts.Incident(ctx, c.actor, in.Ref)
	if err != nil {
		return nil, err
	}
	v := viewIncident(i)
	lines, err := c.acts.Timeline(ctx, c.actor, i.ID)
	if err != nil {
		return nil, err
	}
	v.Timeline = views(lines, viewEntry)
	acquisitions, err := c.acts.Acquisitions(ctx, c.actor, i.ID)
	v.Acquisitions = views(acquisitions, viewAcquisition)
	return v, err
}

// IncidentOpen is the request of incident.open.
type IncidentOpen struct {
	Title          string    `json:"title"`
	Classification string    `json:"classification,omitempty"`
	Reporter       string    `json:"reporter,omitempty"`
	DiscoveredAt   time.Time `json:"discovered_at,omitzero"`
	Endpoints      []string  `json:"endpoints,omitempty"`
	Drill          bool      `json:"drill,omitempty"` // 訓練: of the playbook of its classification
}

func incidentOpen(ctx context.Context, c *call, in IncidentOpen) (any, error) {
	n := act.NewIncident{Title: in.Title, Classification: incident.Classification(in.Classification), Reporter: in.Reporter, DiscoveredAt: in.DiscoveredAt, Drill: in.Drill}
	for _, ref := range in.Endpoints {
		e, err := c.endpoint(ctx, ref)
		if err != nil {
			return nil, err
		}
		n.EndpointIDs = append(n.EndpointIDs, e.ID)
	}
	i, err := c.acts.OpenIncident(ctx, c.actor, n)
	return viewIncident(i), err
}

// Note is the request of incident.note and incident.close.
type Note struct {
	Ref  string `json:"ref"`
	Text string `json:"text,omitempty"`
}

func incidentNote(ctx context.Context, c *call, in Note) (any, error) {
	return None{}, c.acts.AddNote(ctx, c.actor, in.Ref, in.Text)
}

func incidentClose(ctx context.Context, c *call, in Note) (any, error) {
	return None{}, c.acts.CloseIncident(ctx, c.actor, in.Ref, in.Text)
}

// Of narrows a list to an incident or an endpoint; one of them is needed.
type Of struct {
	Incident string `json:"incident,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
}

func acquisitionList(ctx context.Context, c *call, in Of) (any, error) {
	switch {
	case in.Incident != "":
		list, err := c.acts.Acquisitions(ctx, c.actor, in.Incident)
		return views(list, viewAcquisition), err
	case in.Endpoint != "":
		e, err := c.endpoint(ctx, in.Endpoint)
		if err != nil {
			return nil, err
		}
		list, err := c.acts.EndpointAcquisitions(ctx, c.actor, e.ID)
		return views(list, viewAcquisition), err
	}
	return nil, invalid("incident", "required", "name an incident or an endpoint")
}

// Seal is the answer of acquisition.seal: everything that goes with the artifacts of
// an acquisition so that they can be verified elsewhere.
type Seal struct {
	Manifest    []byte `json:"manifest"`
	Signature   []byte `json:"signature"`   // ASN.1 DER
	Certificate []byte `json:"certificate"` // DER, the signer's
	CA          []byte `json:"ca"`          // DER, that certificate's issuer
	Receipt     []byte `json:"receipt"`     // payload
	ReceiptSig  []byte `json:"receipt_signature"`
	ReceiptCert []byte `json:"receipt_certificate"`
}

func acquisitionSeal(ctx context.Context, c *call, in Ref) (any, error) {
	s, err := c.acts.Sealed(ctx, c.actor, in.Ref)
	return Seal{s.Manifest, s.Signature, s.Certificate, c.acts.CACertificate(), s.Receipt.Payload, s.Receipt.Signature, s.Receipt.Certificate}, err
}

func acquisitionItems(ctx context.Context, c *call, in Ref) (any, error) {
	list, err := c.acts.AcquisitionItems(ctx, c.actor, in.Ref)
	return views(list, viewItem), err
}

func evidenceList(ctx context.Context, c *call, in Of) (any, error) {
	if in.Incident == "" {
		return nil, invalid("incident", "required", "name an incident")
	}
	list, err := c.acts.Evidence(ctx, c.actor, in.Incident)
	return views(list, viewItem), err
}

func evidenceShow(ctx context.Context, c *call, in Ref) (any, error) {
	it, err := c.acts.EvidenceItem(ctx, c.actor, in.Ref)
	return viewItem(it), err
}

func evidenceGet(ctx context.Context, c *call, in Ref) (io.ReadCloser, error) {
	_, r, err := c.acts.OpenEvidence(ctx, c.actor, in.Ref, act.ToDownload)
	return r, err
}

// LedgerList is the request of ledger.list.
type LedgerList struct {
	Subject string `json:"subject,omitempty"`
	Limit   int    `json:"limit,omitempty"`
	Before  int64  `json:"before,omitempty"`
}

func ledgerList(ctx context.Context, c *call, in LedgerList) (any, error) {
	list, err := c.acts.LedgerEntries(ctx, c.actor, act.LedgerFilter{Subject: in.Subject, Limit: in.Limit, Before: in.Before})
	return views(list, viewLedger), err
}

// Step is one line of fsck and backup.
type Step struct {
	Step  string `json:"step"`
	Done  int    `json:"done"`
	Total int    `json:"total"` // 0: not known
}

// CheckAll is the request of fsck.
type CheckAll struct {
	Kept []Kept `json:"kept,omitempty"` // checkpoints that were kept elsewhere
}

// Kept is a checkpoint that was kept elsewhere.
type Kept struct {
	Name string `json:"name"` // where from
	Note string `json:"note"`
}

// Known turns kept checkpoints into what fsck takes.
func (r CheckAll) Known() []checkpoint.Known {
	var out []checkpoint.Known
	for _, k := range r.Kept {
		out = append(out, checkpoint.Known{Name: k.Name, Note: k.Note})
	}
	return out
}

// check looks at everything. That something is wrong is its answer, no error.
func check(ctx context.Context, c *call, in CheckAll, emit func(any) error) (any, error) {
	r, err := c.acts.Fsck(ctx, c.actor, in.Known(), steps(emit))
	if err != nil {
		return nil, err
	}
	return ViewCheck(r), nil
}

// steps tells of progress at most a few times a second. A client that has gone is
// noticed by the context.
func steps(emit func(any) error) func(string, int, int) {
	last, at := "", time.Time{}
	return func(step string, done, total int) {
		if now := time.Now(); step != last || done == total || now.Sub(at) > 250*time.Millisecond {
			last, at = step, now
			_ = emit(Step{step, done, total})
		}
	}
}

// BackUp is the request of backup.
type BackUp struct {
	Dir string `json:"dir"` // absolute, on the collector's machine
}

func backUp(ctx context.Context, c *call, in BackUp, emit func(any) error) (any, error) {
	if !filepath.IsAbs(in.Dir) {
		return nil, invalid("dir", "malformed", "want an absolute path")
	}
	return None{}, c.acts.Backup(ctx, c.actor, filepath.Clean(in.Dir))
}
