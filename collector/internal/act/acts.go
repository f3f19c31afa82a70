package act

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hozen/collector/internal/blob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/contact"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/enroll"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/exhibit"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/group"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/notify"
	"hozen/collector/internal/operator"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/phone"
	"hozen/collector/internal/record"
	"hozen/collector/internal/report"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/transfer"
	"hozen/collector/internal/watch"
	"hozen/internal/durable"
	"hozen/internal/i18n"
	"hozen/internal/releasecode"
)

// Issuer makes the certificates of endpoints; see package pki.
type Issuer interface {
	IssueAgent(endpointID string, pub crypto.PublicKey, now time.Time) (der []byte, serial string, err error)
	Certificate() *x509.Certificate
	Fingerprint() string
}

// Config is what the acts are made of.
type Config struct {
	// DB is the database with this program's schema. Required.
	DB *sqldb.DB
	// CA issues certificates. Required.
	CA Issuer
	// Blobs keeps the bytes of evidence. Required.
	Blobs blob.Store
	// Backup copies everything into a folder. Optional: without it [Acts.Backup] is unsupported.
	Backup func(ctx context.Context, dir string) error
	// Prove restores the backup in a folder as far as that goes without a place to put it, and
	// says what is wrong with it. Optional: without it no backup is proved.
	Prove func(ctx context.Context, dir string) (fsck.Report, error)
	// Care says how the collector itself is. Optional: without it nothing is known.
	Care func() watch.Collector
	// Hub carries news to streams and pages. Required.
	Hub *Hub
	// Addresses, "host:port", are where agents find the collector; they go into tokens.
	Addresses []string
	// Recovery is the key from which release codes are made. Optional: without it no
	// endpoint gets a way back that works without the collector.
	Recovery *releasecode.Key
	// OwnAddr reports whether an address is one of the collector's own machine. Optional:
	// without it nobody is warned before the collector itself is cut off.
	OwnAddr func(netip.Addr) bool
	// Checkpoints signs the ledger. Optional: without it nothing is signed.
	Checkpoints *checkpoint.Log
	// Outside speaks for the ledger beside this collector. Optional.
	Outside Outside
	// Inbound opens one TCP connection to an endpoint, within a second, and reports whether
	// anything came back. Optional: without it nothing is tried from here.
	Inbound func(ctx context.Context, to netip.AddrPort) (answered bool, err error)
	// Lookup finds the addresses of a host name. Optional; default the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Say writes an entry of a timeline in words, for documents; names are the endpoints' names by
	// identifier. Optional: without it documents name the kinds of the entries.
	Say func(l i18n.Language, e incident.Entry, names map[string]string) string
	// PasswordCost is what checking a password costs. Optional; default [operator.DefaultCost].
	PasswordCost operator.Cost
	// Secrets seals sessions, second factors and the secrets of channels. Optional: without it
	// there are no sessions after a restart, and neither of the others.
	Secrets *secret.Key
	// OwnSteps are the bytes of the file with the items that the organisation adds to playbooks.
	// Optional: without it there are none.
	OwnSteps []byte
	// OwnStepsErr is why that file could not be read. Optional.
	OwnStepsErr error
	// Notices says how notices go out: Lookup, Dial and Roots count, the rest is filled in.
	// Optional.
	Notices notify.Config
	// Scan bounds searches in the contents of evidence. Optional; default [DefaultScanBounds].
	Scan ScanBounds
	// Now is the clock. Optional; default time.Now.
	Now func() time.Time
	// Log hears of faults that no caller can be told of. Optional; default discards.
	Log *slog.Logger
}

// Acts is the one door to the collector's data. It is safe for concurrent use.
type Acts struct {
	db        *sqldb.DB
	ca        Issuer
	hub       *Hub
	evidence  evidence.Reader
	backup    func(ctx context.Context, dir string) error
	restored  func(ctx context.Context, dir string) (fsck.Report, error)
	care      func() watch.Collector
	addresses []string
	recovery  *releasecode.Key
	hasher    *operator.Hasher
	limiter   *operator.Limiter
	presence  *presence
	inbound   inboundTrials
	restraint *restraint
	ownAddr   func(netip.Addr) bool
	lookup    func(ctx context.Context, host string) ([]netip.Addr, error)
	groups    chan struct{} // wakes RunGroups
	filling   chan struct{} // held while a workbook is filled
	searching chan struct{} // held by each search, see maxSearches
	scans     *scans        // in the contents of evidence
	codes     *codeStock
	hints     *hintCache
	lost      lost
	asking    asking
	settings  settingsCache
	outside   Outside
	garbage   atomic.Bool // is being collected
	now       func() time.Time
	log       *slog.Logger
	say       func(l i18n.Language, e incident.Entry, names map[string]string) string

	checkpoints *checkpoint.Log
	// kept is held for reading by whoever reads the whole store, and for writing while bytes
	// that were disposed of are removed from it.
	kept sync.RWMutex
	kits *Kits
	// arrivals keeps the files that people send while they arrive; nil: unsupported.
	arrivals *transfer.Folder

	secrets secret.Key
	seals   operator.Seals
	sender  *notify.Sender // nil: nobody is told
	guides  Guides
	books   ownBooks
	own     ownSteps
}

// New returns the acts on what cfg names.
func New(cfg Config) (*Acts, error) {
	if cfg.DB == nil || cfg.CA == nil || cfg.Hub == nil || cfg.Blobs == nil {
		return nil, errors.New("make acts: DB, CA, Hub and Blobs are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Lookup == nil {
		cfg.Lookup = lookup
	}
	if cfg.Say == nil {
		cfg.Say = func(_ i18n.Language, e incident.Entry, _ map[string]string) string { return string(e.Kind) }
	}
	guides, err := loadGuides()
	if err != nil {
		return nil, fmt.Errorf("make acts: %w", err)
	}
	own, err := guides.add(cfg.OwnSteps)
	if cfg.OwnStepsErr != nil {
		own, err = ownSteps{broken: true, problem: cfg.OwnStepsErr.Error()}, cfg.OwnStepsErr
	}
	if err != nil {
		cfg.Log.Error("the organisation's own steps can't be used, the playbooks are without them", slog.Any("error", err))
	}
	hasher, err := operator.NewHasher(cfg.PasswordCost)
	if err != nil {
		return nil, fmt.Errorf("make acts: %w", err)
	}
	s := &Acts{
		db: cfg.DB, ca: cfg.CA, hub: cfg.Hub, addresses: cfg.Addresses, recovery: cfg.Recovery, hasher: hasher,
		evidence: evidence.Reader{DB: cfg.DB, Blobs: cfg.Blobs}, backup: cfg.Backup, restored: cfg.Prove, care: cfg.Care,
		limiter: operator.NewLimiter(cfg.Now), presence: newPresence(), restraint: newRestraint(), ownAddr: cfg.OwnAddr, lookup: cfg.Lookup, groups: make(chan struct{}, 1), filling: make(chan struct{}, 1), searching: make(chan struct{}, maxSearches), scans: newScans(cfg.Scan), codes: newCodeStock(), hints: newHintCache(), now: cfg.Now, log: cfg.Log,
		inbound: inboundTrials{answers: cfg.Inbound, m: map[string]*inboundTrial{}}, checkpoints: cfg.Checkpoints, outside: cfg.Outside, say: cfg.Say, guides: guides, own: own,
	}
	sessions := cfg.Secrets
	if sessions == nil {
		passing, err := secret.Passing()
		if err != nil {
			return nil, fmt.Errorf("make acts: %w", err)
		}
		sessions = &passing
	}
	s.seals = operator.NewSeals(*sessions)
	if cfg.Secrets != nil {
		s.secrets = *cfg.Secrets
		n := cfg.Notices
		n.DB, n.Now, n.Log, n.Open, n.Base = cfg.DB, cfg.Now, cfg.Log, s.channelSecret, s.consoleURL
		if s.sender, err = notify.NewSender(n); err != nil {
			return nil, fmt.Errorf("make acts: %w", err)
		}
	}
	return s, nil
}

// Hub returns the live news.
func (s *Acts) Hub() *Hub { return s.hub }

// identify turns whom an edge claims to act for into who it is by the database, and
// checks the right. Role, name and organisation are those of the account now, not
// those of the moment of signing in.
func (s *Acts) identify(ctx context.Context, q sqldb.Queryer, a Actor, p permission) (Actor, error) {
	switch a.Kind {
	case ByOperator:
		o, err := operator.ByID(ctx, q, a.ID)
		if errors.Is(err, operator.ErrNotFound) {
			return Actor{}, fmt.Errorf("%w: unknown operator", ErrForbidden)
		}
		if err != nil {
			return Actor{}, err
		}
		if !o.DisabledAt.IsZero() {
			return Actor{}, fmt.Errorf("%w: the operator is disabled", ErrForbidden)
		}
		if o.MustChangePassword {
			return Actor{}, ErrMustChangePassword
		}
		if err := factorSet(ctx, q, o); err != nil {
			return Actor{}, err
		}
		token := a.token
		a = actorOf(o)
		if !permitted(a.Role, p) {
			return Actor{}, fmt.Errorf("%w: the role %s may not %s", ErrForbidden, a.Role, p)
		}
		if a, err = s.byToken(ctx, q, a, token); err != nil {
			return Actor{}, err
		}
		if !a.may(p) {
			return Actor{}, fmt.Errorf("%w: the token is not for it (%s)", ErrScope, p)
		}
		a.only, err = s.confinement(ctx, q, o)
		return a, err
	case ByLocal:
		if a.BreakGlass == "" {
			return Actor{}, fmt.Errorf("%w: acting without sign-in needs a reason", ErrForbidden)
		}
		return s.ofDefault(ctx, q, a)
	case BySystem:
		return s.ofDefault(ctx, q, a)
	default:
		return Actor{}, fmt.Errorf("%w: %q is no operator", ErrForbidden, a.Kind)
	}
}

func (s *Acts) ofDefault(ctx context.Context, q sqldb.Queryer, a Actor) (Actor, error) {
	if a.OrganisationID == "" {
		o, err := organisation.Default(ctx, q)
		if err != nil {
			return Actor{}, err
		}
		a.OrganisationID = o.ID
	}
	a.Role = operator.Owner
	return a, nil
}

func actorOf(o operator.Operator) Actor {
	name := o.DisplayName
	if name == "" {
		name = o.Name
	}
	return Actor{Kind: ByOperator, ID: o.ID, Name: name, OrganisationID: o.OrganisationID, Role: o.Role}
}

// read runs fn for an actor who has the right; nothing is recorded.
func read[T any](ctx context.Context, s *Acts, a Actor, p permission, fn func(q sqldb.Queryer, a Actor) (T, error)) (T, error) {
	var none T
	a, err := s.identify(ctx, s.db.Read(), a, p)
	if err != nil {
		return none, err
	}
	v, err := fn(s.db.Read(), a)
	if err == nil {
		v, err = confine(ctx, s, s.db.Read(), a, v)
	}
	if err != nil {
		return none, known(err)
	}
	return v, nil
}

// write runs fn in a transaction for an actor who has the right. The news that fn
// leaves in the deed go out after the commit.
func (s *Acts) write(ctx context.Context, a Actor, p permission, fn func(ctx context.Context, d *deed) error) error {
	return s.transact(ctx, func(ctx context.Context, d *deed) error {
		var err error
		if d.actor, err = s.identify(ctx, d.tx, a, p); err != nil {
			return err
		}
		if err := fn(ctx, d); err != nil {
			return err
		}
		if d.actor.only != nil && !d.reached {
			return ErrNotFound // it never said what it concerns; see confine
		}
		return nil
	})
}

// transact runs fn in a transaction and sends its news after the commit.
func (s *Acts) transact(ctx context.Context, fn func(ctx context.Context, d *deed) error) error {
	var d *deed
	err := s.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		d = &deed{tx: tx, now: s.now()} // anew at each try
		if err := fn(ctx, d); err != nil {
			return err
		}
		d.turn = s.asking.turns.take(d.woken)
		return nil
	})
	if err != nil {
		return known(err)
	}
	for _, tell := range d.after {
		tell()
	}
	s.asking.forget(d.woken)
	for _, leave := range d.answers {
		leave()
	}
	for _, e := range d.woken {
		s.hub.wake(e)
	}
	return nil
}

// deed is one act while its transaction is open.
type deed struct {
	tx    *sqldb.Tx
	actor Actor
	now   time.Time
	after []func()
	// woken are the endpoints whose streams are woken after that, each once: all of them
	// one after the other, so that a group is cut together.
	woken []string
	wakes map[string]bool
	// answers leave for the streams what they would ask when they are woken.
	answers []func()
	turn    uint64 // of these
	// second is by whose agreement a group is released, which then holds for each member;
	// nil: each is asked for.
	second map[string]string
	// reached means that the deed said which incident it concerns; see [deed.reach].
	reached bool
	// command is what the deed is about and has read already. Optional.
	command *dispatch.Command
	// whole are incidents, by identifier, that are neither merged into another nor split: all
	// that was said to belong to them still does. Kept where no deed of the transaction merges
	// or splits; nil: each is looked for.
	whole map[string]incident.Incident
}

// record writes the ledger entry of the deed and returns its index.
func (d *deed) record(ctx context.Context, act, subject string, details map[string]string) (int64, error) {
	if d.actor.BreakGlass != "" || d.actor.token != "" {
		with := map[string]string{"break_glass": d.actor.BreakGlass, "api_token": d.actor.token}
		for k, v := range details {
			with[k] = v
		}
		details = with
	}
	for k, v := range details {
		if v == "" {
			delete(details, k)
		}
	}
	return ledger.Append(ctx, d.tx, ledger.Entry{
		OrganisationID: d.actor.OrganisationID, At: d.now, ActorKind: string(d.actor.Kind), ActorID: d.actor.ID, ActorName: d.actor.Name,
		Act: act, Subject: subject, Details: details,
	})
}

// wake wakes the streams of an endpoint after the commit.
func (d *deed) wake(endpointID string) {
	if d.wakes[endpointID] {
		return
	}
	if d.wakes == nil {
		d.wakes = map[string]bool{}
	}
	d.wakes[endpointID] = true
	d.woken = append(d.woken, endpointID)
}

// tell sends news to the organisation of the actor after the commit.
func (d *deed) tell(s *Acts, e Event) {
	org := d.actor.OrganisationID
	d.after = append(d.after, func() { s.hub.publish(org, e) })
}

// known turns the contexts' words for "not there" and "disk full" into ours.
func known(err error) error {
	for _, e := range []error{operator.ErrNotFound, endpoint.ErrNotFound, enroll.ErrNotFound, dispatch.ErrNotFound, incident.ErrNotFound, group.ErrNotFound, evidence.ErrNotFound, exhibit.ErrNotFound, notify.ErrNotFound, record.ErrNotFound, report.ErrNotFound, contact.ErrNotFound, phone.ErrNotFound} {
		if errors.Is(err, e) {
			return fmt.Errorf("%w: %w", ErrNotFound, err)
		}
	}
	if sqldb.IsFull(err) || durable.IsFull(err) {
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return err
}

// own refuses what belongs to another organisation as if it did not exist.
func (a Actor) own(organisationID string) error {
	if a.OrganisationID != organisationID {
		return ErrNotFound
	}
	return nil
}

// text checks a text that a person or an agent wrote.
func text(field, s string, maxBytes int, required bool) error {
	switch {
	case required && s == "":
		return &Invalid{Field: field, Code: "required", Err: errors.New("it is empty")}
	case len(s) > maxBytes:
		return &Invalid{Field: field, Code: "too_long", Err: fmt.Errorf("it has %d bytes, at most %d are taken", len(s), maxBytes)}
	}
	return nil
}
