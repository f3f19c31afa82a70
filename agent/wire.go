package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/identity"
	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/trial"
	"hozen/agent/internal/isolate/tunnel"
	"hozen/agent/internal/localapi"
	"hozen/agent/internal/spool"
	"hozen/agent/internal/uplink"
	"hozen/agent/internal/uplink/journal"
	"hozen/agent/internal/witness"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/durable"
)

// settings is what the command line and the configuration lead to.
type settings struct {
	config        config.Config
	state, socket string
	// managed says that the service manager started this agent.
	managed bool
	// root is the folder with the system's files in which people who sign in are told that
	// the network is cut; empty: they are not.
	root string
	log  *slog.Logger
}

// agent is the object graph of "run". In the state folder:
//
//	identity/   key and certificate
//	spool/      evidence that waits
//	journal/    promised commands, results, alerts
//	isolation/  the last order about the network
//	power/      what is known of going down, evidence captured without the agent
//	recorder/   the flight recorder
//	copies/     what is copied of Windows for a moment
//	witness/    what was seen of the collector's ledger
//	routes      last known addresses of the collector
//	notice.txt  what people are told of a cut network, on Windows
//	organisation.json  what the organisation has set
//	enroll-later.json  a token that an installer left
type agent struct {
	set      settings
	started  time.Time
	identity *identity.Store
	spool    *spool.Spool
	journal  *journal.Journal
	runner   *acquire.Runner
	isolate  *isolate.Manager
	uplink   *uplink.Uplink
	witness  *witness.Store
	local    *localapi.Server
	marks    *marker
	// trials try the rules by traffic; nil where the system cannot.
	trials isolate.Trials
	// bootID names this boot; empty where the system does not tell.
	bootID       string
	recording    *recording
	attention    *attention
	organisation *organisation
	power        *power
	people       people
	notices      *notices
	enrolCode    *enrolCode
	// lastUninstall is the event of the last release before uninstalling, once it is kept.
	lastUninstall atomic.Pointer[string]
	asked         asked

	// watch wakes the goroutine that looks after isolation.
	watch chan struct{}
	// mend wakes the goroutine that seals what could not be sealed.
	mend chan struct{}
	// unsealed says that there is something that could not be sealed.
	unsealed atomic.Bool
	// captures runs what alerts ask for, and what proofs ask for.
	captures    sync.WaitGroup
	proofs      proofs
	captureRate *rate.Limiter
	closers     []func() error
}

// newAgent builds everything and starts nothing.
func newAgent(set settings) (_ *agent, err error) {
	a := &agent{set: set, started: time.Now(), marks: &marker{}, watch: make(chan struct{}, 1), mend: make(chan struct{}, 1),
		captureRate: rate.NewLimiter(rate.Every(alertCaptureEvery), alertCaptureBurst)}
	defer func() {
		if err != nil {
			a.close()
		}
	}()
	if err := durable.MkdirAll(set.state, 0o700); err != nil {
		return nil, err
	}
	if a.identity, err = openIdentity(set.state); err != nil {
		return nil, err
	}
	s, dir := set.config.Spool, filepath.Join(set.state, "spool")
	if err := adopt(set.state, dir, set.log); err != nil {
		set.log.Error("evidence that was captured without the agent is not taken over", slog.Any("error", err))
	}
	if a.organisation, err = openOrganisation(set.state, a.owner, set.log); err != nil {
		set.log.Error("evidence waits in the clear until the collector is heard", slog.Any("error", err))
	}
	if a.spool, err = spool.Open(spool.Config{
		Dir: dir, MaxBytes: s.MaxBytes, MinFreeBytes: unlessZero(s.MinFreeBytes),
		KeepAfterReceipt: unlessZero(s.KeepAfterReceipt.Duration), Wrap: a.organisation.wrap, Log: set.log,
	}); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.spool.Close)
	if a.journal, err = journal.Open(journal.Config{Path: filepath.Join(set.state, "journal", "journal"), Log: set.log}); err != nil {
		return nil, err
	}
	a.closers = append(a.closers, a.journal.Close)
	a.witness = witness.Open(filepath.Join(set.state, "witness"), set.log)
	a.runner = acquire.NewRunner(acquire.Config{Checkpoint: a.checkpoint, Sink: a.spool, Plan: newProfiles().within(set.config.Triage, a.organisation, copiesRoom(set.state, set.log)).plan, Identity: a.signer, Log: set.log})
	if err := markBoot(); err != nil {
		set.log.Warn("this start of the system has no name", slog.Any("error", err))
	}
	a.bootID = acquire.ThisHost().BootID
	if a.recording, err = newRecording(set, a.bootID); err != nil {
		set.log.Error("no flight recorder", slog.Any("error", err))
	}
	a.closers = append(a.closers, a.recording.close)
	if a.attention, err = openAttention(set.state, set.log); err != nil {
		set.log.Warn("taken for none open", slog.Any("error", err))
	}
	a.people = newPeople(set.log)
	if a.power, err = newPower(a); err != nil {
		return nil, err
	}
	a.enrolCode = newEnrolCode(set.log, runtime.GOOS)
	a.notices = newNotices(noticeBoard(set.root, set.state), a.people, set.log)
	a.notices.met = a.enrolCode.meet
	if a.isolate, err = a.newIsolation(); err != nil {
		return nil, err
	}
	if a.uplink, err = uplink.New(uplink.Config{
		Identity: a.identity, Spool: a.spool, Journal: a.journal, Handler: handler{a}, Host: thisHost,
		Isolation:  func(ctx context.Context) journal.Isolation { return measured(a.isolate.Status(ctx)) },
		Collectors: set.config.Collectors, RoutesFile: filepath.Join(set.state, "routes"),
		MinBackoff: set.config.Uplink.MinBackoff.Duration, MaxBackoff: set.config.Uplink.MaxBackoff.Duration,
		Witness: a.witness, Control: a.marks.control, Heard: a.isolate.Heard, Attention: a.attention.hear, Configure: a.configured, GoDown: a.goDown, Log: set.log,
	}); err != nil {
		return nil, err
	}
	if a.local, err = localapi.Listen(localapi.Config{Path: set.socket, Agent: localAgent{a}, Power: localPower{a}, Network: localNetwork{a}, Helper: a.isHelper, Log: set.log}); err != nil {
		return nil, err
	}
	return a, nil
}

// configured takes what the organisation has set. A word of its keys may mean that it got one
// back, so what was refused for want of one is offered again.
func (a *agent) configured(c uplink.Configure) {
	a.organisation.hear(c)
	if keys := strings.Join(c.Recipients, " "); keys != "" {
		a.organisation.keeping.Go(func() { a.spool.OfferAgain(keys) })
	}
}

// unlessZero turns 0 into the negative that means "not at all" below, where 0 means
// the default.
func unlessZero[N ~int64](n N) N {
	if n == 0 {
		return -1
	}
	return n
}

func (a *agent) newIsolation() (*isolate.Manager, error) {
	store, err := a.isolationStore()
	if err != nil {
		return nil, err
	}
	home := func(ctx context.Context) error { return a.uplink.WayHome(ctx) }
	a.trials = trial.New(trial.Config{WayHome: home})
	return isolate.NewManager(isolate.Config{
		Firewall: firewall(), Store: store, Log: a.set.log,
		Connections: connections(),
		Before:      captureBefore,
		BeforeLimit: captureLimit,
		WayHome:     home,
		Trials:      a.trials,
		Tunnels:     tunnel.New(tunnel.Config{}).Tunnels,
		Collectors: func() []netip.AddrPort {
			pins, err := a.uplink.Pins(context.Background())
			if err != nil {
				a.set.log.Error("collector's addresses are not known", slog.Any("error", err))
			}
			return pins
		},
		Tell: a.happened,
	})
}

const isolationKeySize = 32

// isolationKey reads the key that authenticates the record of isolation, and makes it
// at the first time. A key that is lost or damaged is one more way to lose the record,
// which keeps an isolated PC closed; it must not keep the agent from starting.
func (a *agent) isolationKey(path string) ([]byte, error) {
	b, err := os.ReadFile(path)
	if err == nil && len(b) == isolationKeySize {
		return b, nil
	}
	fresh := make([]byte, isolationKeySize)
	if _, err := rand.Read(fresh); err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		a.set.log.Error("isolation's key cannot be read", slog.Any("error", err))
		return fresh, nil // the file may be well again at the next start
	}
	if err == nil {
		a.set.log.Error("isolation's key is damaged", slog.Int("bytes", len(b)))
	}
	if err := durable.WriteFile(path, fresh, 0o600); err != nil {
		a.set.log.Error("isolation's key is not on disk", slog.Any("error", err))
	}
	return fresh, nil
}

// signer is in whose name evidence is taken. Before enrolment a key is made that
// serves once.
func (a *agent) signer() (acquire.Identity, error) {
	e, err := a.identity.Enrolment()
	if errors.Is(err, identity.ErrNotEnrolled) {
		s, err := identity.NewOneTime()
		return acquire.Identity{Signer: s}, err
	}
	if err != nil {
		return acquire.Identity{}, err
	}
	s, err := a.identity.Signer()
	return acquire.Identity{EndpointID: e.EndpointID, Signer: s}, err
}

// owner names the collector whose endpoint this is; empty before enrolment.
func (a *agent) owner() string {
	e, err := a.identity.Enrolment()
	if err != nil {
		return ""
	}
	return uplink.LedgerOwner(e)
}

// checkpoint is what this endpoint saw of its collector's ledger; nil before it saw any.
func (a *agent) checkpoint() *artifact.Checkpoint {
	e, err := a.identity.Enrolment()
	if err != nil {
		return nil
	}
	seen, conflicts := a.witness.Seen(uplink.LedgerOwner(e))
	if seen.Note == "" {
		return nil
	}
	return &artifact.Checkpoint{Origin: seen.Origin, Size: seen.Size, RootSHA256: digest.Digest(seen.Root).String(), Conflicts: conflicts}
}

// run works until ctx ends. What was ordered before the restart counts before
// anything is said to the collector.
func (a *agent) run(ctx context.Context, ready func()) error {
	st, err := a.isolate.Resume(ctx)
	if err != nil {
		a.set.log.ErrorContext(ctx, "isolation not resumed", slog.Any("error", err))
	}
	if st.Desired == isolate.Isolated {
		poke(a.watch)
	}
	a.notices.follow(st) // what an earlier run left to see may not be true any more
	a.proveResumed(st)
	if n, err := a.runner.Recover(ctx, a.spool); err != nil {
		a.set.log.ErrorContext(ctx, "interrupted evidence not sealed", slog.Any("error", err))
		a.sealSoon()
	} else if n > 0 {
		a.set.log.InfoContext(ctx, "sealed what an earlier run left", slog.Int("acquisitions", n))
	}
	for _, alert := range slices.Backward(a.journal.Alerts()) {
		a.captureFor(alert.ID) // an earlier run may have been killed before it was begun
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, part := range []func(context.Context) error{a.uplink.Run, a.local.Run, a.watchIsolation, a.sealLater, a.recording.run, a.power.run, a.lastBoot, a.notices.run, a.enrolLater} {
		wg.Go(func() {
			if err := part(ctx); err != nil {
				cancel(err) // none ends by itself but by a fault
			}
		})
	}
	ready()
	started := time.AfterFunc(settled, releaseMemory)
	defer started.Stop()
	wg.Wait()
	a.proofs.end()
	a.captures.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// settled is when what starting needs is over: by then the agent is connected.
const settled = 1500 * time.Millisecond

// close lets go of what newAgent took, in reverse.
func (a *agent) close() {
	for i := len(a.closers) - 1; i >= 0; i-- {
		if err := a.closers[i](); err != nil {
			a.set.log.Error("close", slog.Any("error", err))
		}
	}
	a.closers = nil
}

// healthy takes every lock that the work needs; a deadlock makes it block, and the
// service manager restarts the agent.
func (a *agent) healthy(context.Context) bool {
	a.spool.List()
	a.journal.Unfinished()
	a.uplink.Status()
	return true
}

// poke leaves one signal in c.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
