package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"hozen/collector/internal/agentapi"
	"hozen/collector/internal/api"
	"hozen/collector/internal/config"
	"hozen/collector/internal/console"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/localapi"
	"hozen/collector/internal/osservice"
	"hozen/internal/buildinfo"
)

// Timings of a running collector.
const (
	shutdownTime = 5 * time.Second // for pages and local calls to end
	checkEvery   = time.Minute     // disk space, refusals without an entry
	renewEvery   = 12 * time.Hour  // the collector's own certificate
)

func (c *cli) serveCmd() *cobra.Command {
	var service bool
	cmd := &cobra.Command{
		Use: "serve", Short: "Run the collector",
		Long: `Run the collector until it is told to stop (SIGTERM, Ctrl-C): the listener for
agents, the web console and the local socket. It logs to standard error and tells
systemd when it is ready.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if service {
				return osservice.Run(cmd.Context(), c.serve)
			}
			return c.serve(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&service, "service", false, "run under the control of the operating system's service manager")
	return cmd
}

func (c *cli) serve(ctx context.Context) error {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return err
	}
	if err := guard(dir, cfg); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	log := newLog(c.std.err, cfg.Log)
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	defer unlock()
	s, err := newServing(ctx, dir, cfg, log)
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	return s.run(ctx)
}

// guard closes what the collector keeps to other accounts.
func guard(dir string, cfg config.Config) error {
	if err := guardFolder(dir); err != nil {
		return err
	}
	return guardFile(cfg.KeyFilePath(dir))
}

// serving is a running collector.
type serving struct {
	*store
	log                 *slog.Logger
	cert                atomic.Pointer[tls.Certificate]
	agents              *agentapi.Server
	local               *localapi.Server
	console             *http.Server
	onAgents, onConsole net.Listener
	onLocal             net.Listener
	consoleURL          string
	endPages            context.CancelFunc
	// recordRest records what of floods of refusals has no entry yet.
	recordRest func(ctx context.Context, atOnce bool)
	lowOnDisk  bool
	backups    *backupClock
}

// newServing opens the listeners first, so that the addresses in tokens are those
// that the operating system gave, and then everything behind them.
func newServing(ctx context.Context, dir string, cfg config.Config, log *slog.Logger) (_ *serving, err error) {
	s := &serving{log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if s.onAgents, err = net.Listen("tcp", cfg.Listen.Agents); err != nil {
		return nil, fmt.Errorf("listen for agents: %w", err)
	}
	if s.onConsole, err = net.Listen("tcp", cfg.Listen.Console); err != nil {
		return nil, fmt.Errorf("listen for the console: %w", err)
	}
	cfg.Addresses = withPort(cfg.Addresses, s.onAgents.Addr())
	if s.store, err = openStore(ctx, dir, cfg, log); err != nil {
		return nil, err
	}
	if n, err := s.acts.SealOlderRows(ctx); err != nil {
		return nil, err
	} else if n > 0 {
		log.InfoContext(ctx, "rows of an earlier version were tied to the ledger", slog.Int("rows", n))
	}
	if n, err := s.acts.SealTimelines(ctx); err != nil {
		return nil, err
	} else if n > 0 {
		log.InfoContext(ctx, "timelines of an earlier version were tied to the ledger", slog.Int("incidents", n))
	}
	cert, err := collectorCertificate(s.paths, s.ca, cfg, time.Now())
	if err != nil {
		return nil, err
	}
	s.cert.Store(&cert)
	s.backups = newBackupClock(dir, cfg.Backup, s.acts, log, time.Now)
	s.store.care = s.care
	intake, err := s.intake(cert)
	if err != nil {
		return nil, err
	}
	s.recordRest = intake.RecordRest
	s.useKits(ctx, intake)
	if err := s.useUploads(ctx); err != nil {
		return nil, err
	}
	if n, err := intake.Recover(ctx); err != nil {
		// What can't be finished stays where it is; fsck names it, and the rest must go on.
		log.ErrorContext(ctx, "uploads of the last run could not all be finished", slog.Int("finished", n), slog.Any("error", err))
	} else if n > 0 {
		log.InfoContext(ctx, "uploads of the last run finished", slog.Int("finished", n))
	}
	if err := s.acts.RecordOwnSteps(ctx); err != nil {
		log.ErrorContext(ctx, "the version of the organisation's own steps is not recorded", slog.Any("error", err))
	}
	if n, err := s.acts.AdoptExhibits(ctx); err != nil {
		log.ErrorContext(ctx, "evidence of an earlier version could not all be made exhibits", slog.Int("made", n), slog.Any("error", err))
	} else if n > 0 {
		log.InfoContext(ctx, "evidence of an earlier version was made exhibits", slog.Int("made", n))
	}
	if err := s.acts.FinishDisposals(ctx); err != nil {
		log.ErrorContext(ctx, "disposals of the last run could not all be finished", slog.Any("error", err))
	}
	if s.agents, err = agentapi.New(agentapi.Config{
		Enrolling: s.acts, Presence: s.acts, Orders: s.acts, Alerts: s.acts, Live: s.hub, Uploads: uploads{intake, s.acts}, Ledger: s.acts, Settings: s.acts,
		CA: s.ca.Certificate(), Certificate: func() (*tls.Certificate, error) { return s.cert.Load(), nil },
		Addresses: cfg.Addresses, Log: log,
	}); err != nil {
		return nil, err
	}
	if err := s.openConsole(ctx); err != nil {
		return nil, err
	}
	if s.local, err = localapi.New(localapi.Config{Acts: s.acts, Log: log, Collector: localapi.Status{
		Name: cfg.Name, Addresses: cfg.Addresses, Agents: s.onAgents.Addr().String(), Console: s.consoleURL, CASHA256: s.ca.Fingerprint(),
	}}); err != nil {
		return nil, err
	}
	s.onLocal, err = localapi.Listen(cfg.SocketPath(dir))
	return s, err
}

// intake opens the intake of evidence.
func (s *serving) intake(cert tls.Certificate) (*evidence.Intake, error) {
	key, err := signerOf(cert)
	if err != nil {
		return nil, err
	}
	return evidence.OpenIntake(evidence.Config{
		DB: s.db, Blobs: s.blobs, Incoming: s.paths.Incoming, Verifier: s.acts, Tie: s.acts.Tie, OnAccepted: s.acts.OnAccepted, OnRefused: s.acts.OnRefused,
		Signer: key, Certificate: cert.Certificate[0], CollectorName: s.cfg.Name, CASHA256: s.ca.Fingerprint(),
		MinFree: uint64(s.cfg.Storage.MinFreeMB) * 1e6, DailyBytes: s.cfg.Storage.EndpointDailyMB * 1e6, DailyShare: s.cfg.Storage.EndpointDailyPercent,
		OnExhausted: s.acts.OnExhausted, Log: s.log,
	})
}

// openConsole makes the web server. Plain HTTP never leaves the machine.
func (s *serving) openConsole(ctx context.Context) error {
	secure := !s.cfg.ConsoleIsLocal()
	programs, err := api.New(api.Config{Acts: s.acts, Version: buildinfo.Get().Version, Log: s.log})
	if err != nil {
		return err
	}
	h, err := console.New(console.Config{
		Acts: s.acts, API: programs, Sessions: s.acts.SessionStore(), Log: s.log, Version: buildinfo.Get(), Secure: secure, Hosts: consoleHosts(s.cfg), Packages: s.paths.Packages,
		Certificate: func() *x509.Certificate { return s.cert.Load().Leaf },
	})
	if err != nil {
		return err
	}
	// Live pages have no end of their own; they end with this.
	pages, end := context.WithCancel(context.WithoutCancel(ctx))
	s.endPages = end
	s.console = &http.Server{Handler: h, BaseContext: func(net.Listener) context.Context { return pages },
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	console.Harden(s.console)
	scheme := "http"
	if secure {
		scheme = "https"
		s.onConsole = tls.NewListener(s.onConsole, &tls.Config{
			MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"},
			GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil },
		})
	}
	s.consoleURL = scheme + "://" + s.onConsole.Addr().String() + "/"
	return nil
}

// ballast returns memory that nobody touches and that therefore costs none. The heap is
// collected each time it has doubled; a small one doubles every few megabytes of an
// upload, and a sixth of the CPU went into that.
func ballast() []byte { return make([]byte, 64<<20) }

// run serves until ctx ends or a listener fails.
func (s *serving) run(ctx context.Context) error {
	defer runtime.KeepAlive(ballast())
	failed := make(chan error, 3)
	// Groups that wait for evidence are cut as long as the agents are served, and then
	// by the next run.
	groups, endGroups := context.WithCancel(ctx)
	var cutting sync.WaitGroup
	cutting.Go(func() { s.acts.RunGroups(groups) })
	cutting.Go(func() { s.acts.WatchLedger(groups) })
	cutting.Go(func() { s.acts.WatchOutside(groups) })
	cutting.Go(func() { s.acts.WatchNotices(groups) })
	cutting.Go(func() { s.acts.SendNotices(groups) })
	cutting.Go(func() { s.acts.WatchDeadlines(groups) })
	cutting.Go(func() { s.acts.WatchUploads(groups) })
	cutting.Go(func() { s.backups.run(groups) })
	go func() { failed <- s.agents.Serve(s.onAgents) }()
	go func() { failed <- s.local.Serve(s.onLocal) }()
	go func() {
		err := s.console.Serve(s.onConsole)
		if errors.Is(err, http.ErrServerClosed) {
			err = nil
		}
		failed <- err
	}()
	s.log.InfoContext(ctx, "collector is ready", slog.String("agents", s.onAgents.Addr().String()), slog.String("console", s.consoleURL),
		slog.String("ca_sha256", s.ca.Fingerprint()), slog.String("version", buildinfo.Get().Version))
	s.tellManager(ctx, daemon.SdNotifyReady)
	err := s.tend(ctx, failed)
	s.tellManager(ctx, daemon.SdNotifyStopping)
	s.log.InfoContext(ctx, "collector is stopping")
	endGroups()
	cutting.Wait()
	s.agents.Stop()
	s.recordRest(ctx, true)
	s.endPages()
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	if serr := s.console.Shutdown(end); serr != nil {
		err = errors.Join(err, s.console.Close())
	}
	return errors.Join(err, s.local.Shutdown(end), s.close())
}

// tend does what a running collector does by the clock, until ctx ends.
func (s *serving) tend(ctx context.Context, failed <-chan error) error {
	check, renew := time.NewTicker(checkEvery), time.NewTicker(renewEvery)
	defer check.Stop()
	defer renew.Stop()
	var alive <-chan time.Time
	if every, err := daemon.SdWatchdogEnabled(false); err == nil && every > 0 {
		t := time.NewTicker(every / 2)
		defer t.Stop()
		alive = t.C
	}
	s.checkDisk(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			if err == nil {
				err = errors.New("a listener ended by itself")
			}
			return err
		case <-alive:
			// A database that does not answer is the hang that a restart can cure.
			if err := s.db.Ping(ctx); err == nil {
				s.tellManager(ctx, daemon.SdNotifyWatchdog)
			}
		case <-check.C:
			s.checkDisk(ctx)
			s.recordRest(ctx, false)
		case now := <-renew.C:
			cert, err := collectorCertificate(s.paths, s.ca, s.cfg, now)
			if err != nil {
				s.log.ErrorContext(ctx, "own certificate could not be renewed", slog.Any("error", err))
				continue
			}
			s.cert.Store(&cert)
		}
	}
}

// close gives back what newServing took, as far as it came.
func (s *serving) close() error {
	var err error
	for _, l := range []net.Listener{s.onAgents, s.onConsole, s.onLocal} {
		if l == nil {
			continue
		}
		if cerr := l.Close(); cerr != nil && !errors.Is(cerr, net.ErrClosed) {
			err = errors.Join(err, cerr)
		}
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	return err
}
