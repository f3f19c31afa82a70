package localapi

import (
	"context"
	"io"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/export"
)

// Export is an evidence package.
type Export struct {
	ID         string    `json:"id"`
	Number     string    `json:"number"`
	IncidentID string    `json:"incident_id"`
	At         time.Time `json:"at"`
	By         string    `json:"by"`
	Recipient  string    `json:"recipient"`
	Purpose    string    `json:"purpose"`
	Endpoints  []string  `json:"endpoints"`
	Profiles   []string  `json:"profiles"`
	LedgerSize int64     `json:"ledger_size"`
	FinishedAt time.Time `json:"finished_at,omitzero"` // absent until it was written once
	SHA256     string    `json:"sha256,omitempty"`
	Size       int64     `json:"size,omitempty"` // bytes
}

func viewExport(r export.Record) Export {
	return Export{r.ID, r.Number, r.IncidentID, r.At, r.ActorName, r.Recipient, r.Purpose, append([]string{}, r.Hosts...), append([]string{}, r.Profiles...),
		r.LedgerSize, r.FinishedAt, r.SHA256, r.Size}
}

// ExportOrder is the request of export.order.
type ExportOrder struct {
	Incident  string   `json:"incident"`
	Recipient string   `json:"recipient"`
	Purpose   string   `json:"purpose"`
	Endpoints []string `json:"endpoints,omitempty"`
	Profiles  []string `json:"profiles,omitempty"`
	// LeaveUploads leaves out the bytes of files that people sent.
	LeaveUploads bool `json:"leave_uploads,omitempty"`
}

func exportOrder(ctx context.Context, c *call, in ExportOrder) (any, error) {
	n := act.NewExport{IncidentID: in.Incident, Recipient: in.Recipient, Purpose: in.Purpose, Profiles: in.Profiles, LeaveUploads: in.LeaveUploads}
	for _, ref := range in.Endpoints {
		e, err := c.endpoint(ctx, ref)
		if err != nil {
			return nil, err
		}
		n.Hosts = append(n.Hosts, e.ID)
	}
	r, err := c.acts.OrderExport(ctx, c.actor, n)
	return viewExport(r), err
}

func exportList(ctx context.Context, c *call, in Ref) (any, error) {
	list, err := c.acts.Exports(ctx, c.actor, in.Ref)
	return views(list, viewExport), err
}

func exportShow(ctx context.Context, c *call, in Ref) (any, error) {
	r, err := c.acts.Export(ctx, c.actor, in.Ref)
	return viewExport(r), err
}

// ExportWrite is the request of export.write.
type ExportWrite struct {
	Ref string `json:"ref"`
	// RecipientKeys are the age public keys that the bytes are encrypted to; none: they are
	// not encrypted.
	RecipientKeys []string `json:"recipient_keys,omitempty"`
}

func exportWrite(ctx context.Context, c *call, in ExportWrite, w io.Writer) error {
	to, err := act.ParseRecipients(in.RecipientKeys)
	if err != nil {
		return err
	}
	if len(to) > 0 {
		_, err = c.acts.WriteExportTo(ctx, c.actor, in.Ref, to, w)
		return err
	}
	_, err = c.acts.WriteExport(ctx, c.actor, in.Ref, w)
	return err
}
