package act

import (
	"context"
	"net/netip"
	"time"

	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/operator"
)

// NewOperator is what [Acts.AddOperator] needs.
type NewOperator struct {
	Name        string // for signing in: 1 to 64 of a–z, 0–9, '.', '_', '-', beginning with a letter or digit
	DisplayName string // at most 128 bytes; empty means Name
	Role        operator.Role
}

// NewToken is what [Acts.MintToken] needs.
type NewToken struct {
	Auto    bool          // endpoints need no operator's approval
	TTL     time.Duration // 1 minute to 30 days; 0 means [enroll.DefaultTTL]
	MaxUses int           // 1 to 10,000; 0 means one
	Note    string        // for people, at most 256 bytes
}

// MintedToken is a token and its text, which is shown once and never again.
type MintedToken struct {
	Token enroll.Token
	Text  string // "hzt1.…": addresses, CA fingerprint and secret, for hozen-agent enroll
}

// EnrollCall is what an unknown PC sends.
type EnrollCall struct {
	Secret     string
	CSR        []byte // PKCS #10, DER
	Host       endpoint.Description
	RemoteAddr string
}

// EnrollReply is a certificate, or the code under which an operator finds the
// waiting request.
type EnrollReply struct {
	EndpointID      string // empty while waiting
	Certificate, CA []byte // DER
	PendingCode     string // "4F7K-92QM" while waiting
}

// Order is a person's order to an endpoint.
type Order struct {
	Profile      string // of Acquire, a name of package profile; empty means "flash"
	Reason       string // why, at most 1,024 bytes
	IncidentID   string // identifier or number; empty joins the endpoint's newest open incident or opens one
	IsolateFirst bool   // of Isolate: cut first, capture afterwards
	// Isolation is what else an order to isolate says. Code and, where it is empty, Notice
	// are filled in here.
	Isolation dispatch.Isolation
	// OperatorAddr is where the person sits who orders; zero if not known.
	OperatorAddr netip.Addr
	// Then is what comes after the evidence of Preserve; empty means nothing.
	Then dispatch.Then
	// Confirmed is the [Gate.Fingerprint] that was shown and confirmed; needed to have
	// the PC go down.
	Confirmed string

	// check refuses the order, or says what else goes into its record, in the order's
	// transaction. Optional.
	check func(ctx context.Context, d *deed, e endpoint.Endpoint) (map[string]string, error)
	// many is what the order's transaction has read already, for one of very many.
	// Optional.
	many *many
}

// CommandFilter narrows [Acts.Commands]; the zero value means the newest 100 of all.
type CommandFilter struct {
	EndpointID, IncidentID string // empty: any
	Limit                  int    // 1 to 1,000; 0 means 100
}

// AlertCall is the PC user's report of trouble.
type AlertCall struct {
	AlertID    string    // made by the agent; the same identifier is stored once
	Message    string    // at most 4 KiB
	Reporter   string    // account name, at most 256 bytes
	ReportedAt time.Time // agent clock
}

// NewIncident is what [Acts.OpenIncident] needs.
type NewIncident struct {
	Title          string                  // at most 256 bytes
	Classification incident.Classification // empty means incident.NotYet
	Reporter       string                  // who noticed, at most 256 bytes; empty means the operator
	DiscoveredAt   time.Time               // zero means now
	EndpointIDs    []string
	// Join means that it is a report: it joins an open incident of one of the endpoints that
	// was opened within [incident.JoinWithin], where there is one, instead of opening another.
	Join bool
	// Drill means that it is a drill (訓練) of the playbook of its classification. It stays one.
	Drill bool

	// Heard is of a report by telephone. Optional.
	Heard Heard

	foundIn string // the drill in which it was found
}

// Purpose is why the bytes of a piece of evidence are opened; it stands in the ledger.
type Purpose string

// The purposes.
const (
	ToView     Purpose = "view"
	ToDownload Purpose = "download"
)

// LedgerFilter narrows [Acts.LedgerEntries]; newest first.
type LedgerFilter struct {
	Subject string // identifier of what the entry is about; empty: any
	Limit   int    // 1 to 1,000; 0 means 100
	Before  int64  // only entries with a lower index; 0: from the newest
}
