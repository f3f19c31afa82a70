package console

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"

	"hozen/collector/internal/act"
	"hozen/collector/internal/console/records"
	"hozen/collector/internal/finding"
	"hozen/collector/internal/manual"
	"hozen/internal/buildinfo"
	"hozen/internal/i18n"
)

// Config is what the console needs.
type Config struct {
	// Acts is the door to everything that is shown and done. Required.
	Acts *act.Acts
	// Sessions keeps who is signed in. Required; [operator.SessionStore] survives a
	// restart of the collector.
	Sessions scs.Store
	// Log gets one line per request that failed on our side, never contents of
	// evidence. Optional; default discards.
	Log *slog.Logger
	// Version is shown in the footer and on the page about the product.
	Version buildinfo.Info
	// Secure says that browsers reach the console by https: cookies are then never
	// sent without. Leave it false on loopback only.
	Secure bool
	// Hosts are the names and addresses by which browsers may ask, without port; a
	// request by any other is refused, so that no page of a stranger reaches a console on
	// loopback by a name of its own (DNS rebinding). Optional; nil answers to every name.
	Hosts []string
	// Packages is the folder with the files that install the agent, named as `make packages`
	// names them. Optional; it need not be there.
	Packages string
	// Certificate is the one that browsers are shown, for a person to compare. Optional.
	Certificate func() *x509.Certificate
	// API answers programs under /api/. Optional: without it there is nothing there.
	API http.Handler
	// Now is the clock that ages are counted with. Optional; default time.Now.
	Now func() time.Time
}

// Limits of the console as a whole.
const (
	maxBody       = 64 << 10         // bytes of a form
	maxHitBody    = 1280 << 10       // bytes of a form with a hit list or with the words of a document, as it is escaped
	pageTime      = 30 * time.Second // to make a page
	sessionLife   = 12 * time.Hour   // from sign-in
	sessionIdle   = 2 * time.Hour    // without a page asked for by a person
	cacheBytes    = 128 << 20        // of decoded evidence
	viewRemembers = 15 * time.Minute // within which turning pages is one viewing in the ledger
)

// New returns the handler of the whole console. An error means that the build is
// broken (a template or text is missing) or that cfg is incomplete.
func New(cfg Config) (http.Handler, error) {
	s, err := build(cfg)
	if err != nil {
		return nil, fmt.Errorf("make console: %w", err)
	}
	return s.routes(), nil
}

// server is the console at work. Nothing in it changes after build but what the
// named parts guard themselves.
type server struct {
	ports
	log      *slog.Logger
	version  buildinfo.Info
	now      func() time.Time
	secure   bool
	hosts    map[string]bool // nil: any
	texts    i18n.Catalogue
	pages    *pages
	assets   *assets
	sessions *scs.SessionManager
	minted   *once
	takings  *takings
	// certificate is what browsers are shown; nil: unknown.
	certificate func() *x509.Certificate
	viewed      *recent
	streams     *streams
	records     *records.Cache
	packages    string
	api         http.Handler
	photos      places // held while a form with photographs comes from a phone
	rules       []finding.Rule
	manual      *manual.Manual
	helps       map[string]string // page to section of the manual
}

func build(cfg Config) (*server, error) {
	if cfg.Acts == nil || cfg.Sessions == nil {
		return nil, errors.New("the acts and a session store are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := cfg.Acts
	s := &server{
		ports: ports{people: a, endpoints: a, enrolment: a, orders: a, incidents: a, evidence: a, ledger: a, outside: a, live: a, accounts: a, factors: a, guests: a, notices: a, weekly: a, isolation: a, settings: a, groups: a, exports: a, custody: a, disposals: a, record: a, logs: a, life: a, uploads: a, sticks: a, reports: a, forms: a, workbench: a, watch: a, drills: a, staff: a, links: a, phones: a, tokens: a, finds: a, scans: a, uncut: a},
		log:   cfg.Log, version: cfg.Version, now: cfg.Now, secure: cfg.Secure,
		minted: newOnce(), takings: newTakings(), viewed: newRecent(viewRemembers), streams: newStreams(),
		records: records.NewCache(cacheBytes, records.DefaultLimits(), cfg.Now),
	}
	s.packages, s.api = cfg.Packages, cfg.API
	s.photos.byLink = map[string]int{}
	if s.certificate = cfg.Certificate; s.certificate == nil {
		s.certificate = func() *x509.Certificate { return nil }
	}
	if cfg.Hosts != nil {
		s.hosts = map[string]bool{}
		for _, h := range cfg.Hosts {
			s.hosts[hostName(h)] = true
		}
	}
	var err error
	if s.rules, err = finding.Rules(); err != nil {
		return nil, err
	}
	if s.texts, err = Texts(); err != nil {
		return nil, err
	}
	if s.manual, err = loadManual(s.texts); err != nil {
		return nil, err
	}
	s.helps = helpSections()
	if s.assets, err = loadAssets(sub("static")); err != nil {
		return nil, err
	}
	if s.pages, err = loadPages(sub("templates"), s.texts, s.assets); err != nil {
		return nil, err
	}
	s.sessions = s.newSessions(cfg.Sessions)
	return s, nil
}

// sub returns a folder of the embedded files; the folders exist by construction.
func sub(dir string) fs.FS {
	f, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return f
}

// Harden sets the limits of s that keep slow and greedy clients from holding the
// console: everything but the handler and the address. Live streams and downloads
// extend the time for writing by themselves.
func Harden(s *http.Server) {
	s.ReadHeaderTimeout = 10 * time.Second
	s.ReadTimeout = 30 * time.Second
	s.WriteTimeout = 60 * time.Second
	s.IdleTimeout = 2 * time.Minute
	s.MaxHeaderBytes = 32 << 10
}
