// Package acquire runs one acquisition at a time: the probes of a plan in order of
// volatility, a time budget and an outcome for each, and a signed manifest over what
// they wrote; an urgent one comes first, and one with a deadline is sealed by then. It
// knows nothing of how an operating system is asked, nor of the collector.
package acquire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"hozen/agent/internal/background"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/touch"
	"hozen/agent/internal/sorted"
	"hozen/agent/internal/spool"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/id"
)

// Planned is one probe of a plan.
type Planned struct {
	// New makes the probe; a probe serves one acquisition.
	New func() probe.Probe
	// Budget is how long the probe may take.
	Budget time.Duration
	// Rest adds to Budget what the probes before it left of theirs.
	Rest bool
	// First puts the probe before all others, whatever its volatility: for a line that is
	// at hand and that must not be missing when the time is over early.
	First bool
}

// Plan is what an acquisition does. The runner sorts the probes by volatility, but for
// those that are to be first.
type Plan struct {
	Profile string // such as "flash"
	Probes  []Planned
	// Gentle makes probes give way to whoever uses the PC, see package background. Those of
	// processes and sockets do not, nor does an acquisition with a deadline: what they read
	// does not wait.
	Gentle bool
	// Memory is how many bytes the program should get along with while the probes run, its
	// code apart (runtime/debug.SetMemoryLimit); an urgent acquisition ends that at once.
	// Zero: what it has without a limit.
	Memory int64
	// Wrap is asked once for what encrypts the parts, in the place of [spool.Config.Wrap], so
	// that it is what the plan was made with. Optional.
	Wrap func() func(w io.Writer) (io.WriteCloser, error)
}

// Total is the longest time that the probes of the plan can take together.
func (p Plan) Total() (d time.Duration) {
	for _, x := range p.Probes {
		d += x.Budget
	}
	return d
}

// Sink takes acquisitions: *spool.Spool, or *spool.Folder for one that stands alone.
type Sink interface {
	Begin(acquisitionID string, plan []byte) (*spool.Acquisition, error)
}

// wrappingSink is a Sink that can be told for each acquisition what encrypts its parts:
// *spool.Spool.
type wrappingSink interface {
	BeginWith(acquisitionID string, plan []byte, wrap func() func(io.Writer) (io.WriteCloser, error)) (*spool.Acquisition, error)
}

// Signer signs manifests; *identity.Signer is one.
type Signer interface {
	// Sign returns an ECDSA P-256 signature over the SHA-256 of message, ASN.1 DER.
	Sign(message []byte) ([]byte, error)
	// PublicPEM is the public key.
	PublicPEM() []byte
	// CertificatePEM is the certificate and its issuer; empty before enrolment.
	CertificatePEM() []byte
	// Describe says which key it is.
	Describe() artifact.Signer
}

// Identity is in whose name an acquisition is made.
type Identity struct {
	EndpointID string // empty before enrolment
	Signer     Signer
}

// Config is what a Runner is made of.
type Config struct {
	// Sink takes the acquisitions.
	Sink Sink
	// Plan returns the plan of a profile, or an error that names the known ones.
	Plan func(profile string) (Plan, error)
	// Identity is asked once per acquisition, before the first probe.
	Identity func() (Identity, error)
	// Checkpoint returns what the endpoint saw of its collector's ledger; nil for nothing.
	// Optional.
	Checkpoint func() *artifact.Checkpoint
	// Host describes the endpoint. Default [ThisHost].
	Host func() artifact.Host
	// Tool describes this program. Default [ThisTool].
	Tool func() artifact.Tool
	// Clock reads both clocks. Default [SystemClock].
	Clock func() artifact.Instant
	// Grace is how long a probe whose time is up may take to stop before it is cut
	// off and left behind. Default 250 ms.
	Grace time.Duration
	// Log hears of probes that were cut off or panicked. Optional.
	Log *slog.Logger
}

const defaultGrace = 250 * time.Millisecond

// Order asks for one acquisition.
type Order struct {
	// AcquisitionID names it; the same identifier is carried out once. Default: a new one.
	AcquisitionID string
	Trigger       artifact.Trigger
	CommandID     string // "cmd_…" or empty
	AlertID       string // "alt_…" or empty
	IncidentID    string // "inc_…" or empty
	Profile       string
	// Extra are probes of this acquisition alone, beside those of the profile. Optional.
	Extra []Planned
	// Urgent makes the acquisition that is running now end at once and seal what it has
	// with the outcome interrupted. This one begins as soon as the other's probes have
	// stopped, at the latest after [preemptWait], and all others wait until it is over.
	Urgent bool
	// Deadline is when the acquisition must be sealed and fsynced. The budgets of the
	// probes shrink to the time there is, the most volatile get the most of it, and those
	// that find none left are not started. Zero: the budgets of the plan hold. Only a disk
	// that does not answer can make it later, and a PC so slow that no time was left for
	// processes and sockets, which have a tenth of a second each in every case.
	Deadline time.Time
	// Limit is a Deadline so long after the acquisition's turn came: however long the ones
	// before it take, this one has its time. Ignored with a Deadline. Zero: none.
	Limit time.Duration
	// Reserve is how long before Deadline the last probe has ended, so that sealing has
	// its time. Default a fifth of the time there is, at least 50 ms, at most 1 s.
	Reserve time.Duration
	// Progress is called from the goroutine of Run, before and after each probe, once a
	// second during one that takes long, and when the acquisition is sealed. It must return quickly. Optional.
	Progress func(Progress)
}

// Progress says how far an acquisition has come.
type Progress struct {
	AcquisitionID string
	CommandID     string
	AlertID       string
	Kind          artifact.Kind    // probe that begins or has just ended
	Outcome       artifact.Outcome // of Kind, once it has ended
	Done, Total   int              // probes
	Records       int64            // so far
	// Bytes are what a probe that takes long, such as that of memory, has written; of Expected
	// where that is known, Rate a second on average. All are 0 of others.
	Bytes, Expected, Rate int64
	Sealed                bool
}

// Result is a sealed acquisition.
type Result struct {
	AcquisitionID  string
	Manifest       artifact.Manifest
	ManifestSHA256 digest.Digest // of the exact bytes of the manifest
	// FirstArtifactAt is when the first artifact was durable, on this process's clock; zero
	// when there is none.
	FirstArtifactAt time.Time
	// Repeated means that the acquisition was already there. Its manifest is given only
	// if it was the last that this runner made.
	Repeated bool
}

// Runner is safe for concurrent use.
type Runner struct {
	cfg  Config
	turn chan struct{} // holds one token; ordinary acquisitions only
	lane lane
	heap heap
	// image holds one token: memory is read by one acquisition at a time.
	image chan struct{}

	mu    sync.Mutex
	last  Result
	tool  artifact.Tool
	known chan struct{} // closed when tool is there; nil before anyone asked
}

// NewRunner returns a Runner.
func NewRunner(cfg Config) *Runner {
	if cfg.Host == nil {
		cfg.Host = ThisHost
	}
	if cfg.Tool == nil {
		cfg.Tool = ThisTool
	}
	if cfg.Clock == nil {
		cfg.Clock = SystemClock
	}
	if cfg.Grace <= 0 {
		cfg.Grace = defaultGrace
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Runner{cfg: cfg, turn: make(chan struct{}, 1), lane: newLane(), image: make(chan struct{}, 1)}
}

// Prepare does now what else the first acquisition would have to do at its end: it reads
// this program's own file for its digest. Whoever has a deadline calls it long before.
func (r *Runner) Prepare() { <-r.askTool() }

// Run carries out one acquisition and seals it. Others wait for their turn as long as
// their ctx allows, unless they are urgent; while all of memory is read, they don't. When ctx ends during the capture, what was
// acquired so far is sealed with the outcome interrupted, and that is no error. The error
// wraps [spool.ErrFull] when there is no room to begin.
func (r *Runner) Run(ctx context.Context, o Order) (Result, error) {
	if o.AcquisitionID == "" {
		o.AcquisitionID = id.New(id.Acquisition)
	}
	pass := func() {}
	if !o.Urgent {
		select {
		case r.turn <- struct{}{}:
		case <-ctx.Done():
			return Result{}, fmt.Errorf("acquire %s: wait for the acquisition before it: %w", o.AcquisitionID, ctx.Err())
		}
		pass = sync.OnceFunc(func() { <-r.turn })
		defer pass()
	}
	if last := r.lastResult(); last.AcquisitionID == o.AcquisitionID {
		last.Repeated = true
		return last, nil
	}
	ctx, at, err := r.lane.enter(ctx, o)
	if err != nil {
		return Result{}, fmt.Errorf("acquire %s: wait for the acquisition before it: %w", o.AcquisitionID, err)
	}
	defer at.leave()
	if o.Deadline.IsZero() && o.Limit > 0 {
		o.Deadline = time.Now().Add(o.Limit)
	}
	res, err := r.run(touch.With(ctx), o, at.stopped, func() { at.aside(); pass() })
	if errors.Is(err, spool.ErrExists) {
		return Result{AcquisitionID: o.AcquisitionID, Repeated: true}, nil
	}
	if err != nil {
		return Result{}, fmt.Errorf("acquire %s: %w", o.AcquisitionID, err)
	}
	r.mu.Lock()
	r.last = res
	r.mu.Unlock()
	if !o.Urgent { // whoever is in a hurry does it later
		// A capture needs much memory for a second and none for the weeks after it.
		debug.FreeOSMemory()
	}
	return res, nil
}

func (r *Runner) lastResult() Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// run does what the order asks for; stopped is called when the last probe has ended, aside
// before one that takes minutes.
func (r *Runner) run(ctx context.Context, o Order, stopped, aside func()) (Result, error) {
	defer stopped()
	plan, err := r.cfg.Plan(o.Profile)
	if err != nil {
		return Result{}, err
	}
	plan.Probes = slices.Concat(plan.Probes, o.Extra)
	who, err := r.cfg.Identity()
	if err != nil {
		return Result{}, err
	}
	probes := inOrder(plan)
	if plan.Memory > 0 && !o.Urgent {
		back := r.heap.hold(plan.Memory)
		defer back()
		defer context.AfterFunc(ctx, back)() // a more urgent one needs its memory now
		leave := stopped
		stopped = func() { back(); leave() }
	}
	n := note{Format: noteFormat, Manifest: artifact.Manifest{
		Format:        artifact.Format,
		AcquisitionID: o.AcquisitionID,
		EndpointID:    who.EndpointID,
		Trigger:       o.Trigger,
		CommandID:     o.CommandID,
		AlertID:       o.AlertID,
		IncidentID:    o.IncidentID,
		Profile:       plan.Profile,
		Host:          r.cfg.Host(),
		StartedAt:     r.cfg.Clock(),
		Probes:        []artifact.ProbeOutcome{},
		Artifacts:     []artifact.Entry{},
		Signer:        who.Signer.Describe(),
	}}
	if r.cfg.Checkpoint != nil {
		n.Manifest.Checkpoint = r.cfg.Checkpoint()
	}
	for _, p := range probes {
		n.Planned = append(n.Planned, planned{p.Kind(), p.Schema(), int64(p.budget)})
	}
	enc, err := newEncoder()
	if err != nil {
		return Result{}, err
	}
	t := newTiming(o, r.cfg.Grace, probes)
	acq := begin(r.cfg.Sink, o.AcquisitionID, n.encode(), plan.Wrap, t.hurry)
	if t.hurry {
		r.askTool() // so that sealing finds it done
	} else if err := acq.wait(); err != nil {
		return Result{}, err
	}
	m := &n.Manifest
	progress := Progress{AcquisitionID: o.AcquisitionID, CommandID: o.CommandID, AlertID: o.AlertID, Total: len(probes)}
	tell := func() {
		if o.Progress != nil {
			o.Progress(progress)
		}
	}
	var closing placings
	images := images{token: r.image}
	defer images.end()
	for _, p := range probes {
		progress.Kind, progress.Outcome = p.Kind(), ""
		tell()
		busy := false
		switch {
		case p.Volatility() != probe.Image:
			images.end()
		case images.begin():
			aside() // the flash capture before an isolation cannot wait so long
		default:
			busy = true
		}
		mine := ctx
		if plan.Gentle && !t.hurry && p.Volatility() > probe.Live {
			mine = background.Mark(ctx)
		}
		allowed := t.next(p)
		allowed.busy = busy
		before := progress.Records
		out, w := r.runProbe(mine, acq, enc, p.Probe, allowed, func(f far) {
			progress.Bytes, progress.Expected, progress.Rate, progress.Records = f.bytes, f.expected, f.rate, before+f.records
			tell()
		})
		progress.Bytes, progress.Expected, progress.Rate, progress.Records = 0, 0, 0, before
		t.took(p, time.Duration(out.DurationNS))
		if acq.ready() && acq.err != nil {
			return Result{}, acq.err
		}
		m.Probes = append(m.Probes, out)
		closing.add(w, p, len(m.Probes)-1, t.hurry)
		if !t.hurry {
			closing.settle(m)
			// A note that cannot be kept costs detail after a crash and nothing else.
			if err := acq.acq.Note(n.encode()); err != nil {
				r.cfg.Log.WarnContext(ctx, "running notes not kept", slog.String("acquisition", o.AcquisitionID), slog.Any("error", err))
			}
		}
		out = m.Probes[len(m.Probes)-1]
		progress.Outcome = out.Outcome
		progress.Done++
		progress.Records += out.Records
		tell()
	}
	stopped()
	if err := acq.wait(); err != nil {
		return Result{}, err
	}
	closing.settle(m)
	m.Outcome = overall(m.Probes, ctx.Err() != nil)
	res, err := r.seal(acq.acq, n.Manifest, who.Signer, t.sealBy)
	if err != nil {
		return Result{}, errors.Join(err, acq.acq.Leave())
	}
	res.FirstArtifactAt = closing.first
	progress.Sealed = true
	tell()
	return res, nil
}

// seal fills in what is known only at the end, signs and hands over. by is the deadline
// or zero.
func (r *Runner) seal(acq *spool.Acquisition, m artifact.Manifest, signer Signer, by time.Time) (Result, error) {
	m.Tool = r.toolBy(by)
	m.FinishedAt = r.cfg.Clock()
	b, err := encodeManifest(m)
	if err != nil {
		return Result{}, err
	}
	sig, err := signer.Sign(b)
	if err != nil {
		return Result{}, fmt.Errorf("sign manifest: %w", err)
	}
	err = acq.Seal(spool.Seal{Manifest: b, Signature: sig, SignerPEM: signer.PublicPEM(), CertPEM: signer.CertificatePEM()})
	if err != nil {
		return Result{}, err
	}
	return Result{AcquisitionID: m.AcquisitionID, Manifest: m, ManifestSHA256: digest.Of(b)}, nil
}

// askTool begins to describe the program, once; it is known when the channel is closed.
func (r *Runner) askTool() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(chan struct{})
		go func() {
			r.tool = r.cfg.Tool()
			close(r.known)
		}()
	}
	return r.known
}

// toolBy describes the program, without its digest when that cannot be had in time.
func (r *Runner) toolBy(by time.Time) artifact.Tool {
	var late <-chan time.Time
	if !by.IsZero() {
		late = time.After(max(time.Until(by)/2, time.Millisecond))
	}
	select {
	case <-r.askTool():
		return r.tool
	case <-late:
		return thisBuild()
	}
}

type readied struct {
	probe.Probe
	budget time.Duration
	rest   bool
	first  bool
}

// inOrder makes the probes and puts the most volatile first (RFC 3227, 2.1), after those
// that are to be first anyhow.
func inOrder(plan Plan) []readied {
	var list []readied
	for _, p := range plan.Probes {
		list = append(list, readied{p.New(), p.Budget, p.Rest, p.First})
	}
	rank := func(r readied) int {
		if r.first {
			return -1
		}
		return int(r.Volatility())
	}
	sorted.StableFunc(list, func(a, b readied) int { return rank(a) - rank(b) })
	return list
}

// overall sums up the outcomes of the probes.
func overall(probes []artifact.ProbeOutcome, interrupted bool) artifact.Outcome {
	if interrupted {
		return artifact.Interrupted
	}
	whole, some := true, false
	for _, p := range probes {
		switch p.Outcome {
		case artifact.Complete, artifact.Empty:
			some = true
		case artifact.Unsupported:
		default:
			whole = false
			some = some || p.Records > 0
		}
	}
	switch {
	case !some:
		return artifact.Failed
	case whole:
		return artifact.Complete
	}
	return artifact.Partial
}
