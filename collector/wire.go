package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/blob/atrest"
	"hozen/collector/internal/blob/fsblob"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/config"
	"hozen/collector/internal/console"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/organisation"
	"hozen/collector/internal/secret"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/watch"
	"hozen/internal/durable"
	"hozen/internal/i18n"
	"hozen/internal/pki"
	"hozen/internal/releasecode"
)

// store is a collector without its listeners.
type store struct {
	dir   string
	cfg   config.Config
	paths config.Paths
	db    *sqldb.DB
	blobs *fsblob.Store
	// keys are those of the evidence.
	keys *atrest.Ring
	// rotatedFrom names the former key of a change of the key file that was ended when the
	// store was opened; empty: there was none.
	rotatedFrom string
	ca          *pki.CA
	hub         *act.Hub
	acts        *act.Acts
	// checkpoints signs the ledgers.
	checkpoints *checkpoint.Log
	// recovery is the key that release codes are made with.
	recovery releasecode.Key
	// care says how the collector is; set while it serves.
	care func() watch.Collector
}

// ledgerName begins the names of this collector's logs. It stays as long as the CA does,
// whatever the collector is called.
func ledgerName(ca *pki.CA) string { return "hozen-custody/" + ca.Fingerprint()[:16] }

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openStore opens everything that is kept in a data folder.
func openStore(ctx context.Context, dir string, cfg config.Config, log *slog.Logger) (*store, error) {
	s := &store{dir: dir, cfg: cfg, paths: config.PathsOf(dir), hub: act.NewHub()}
	var err error
	if s.ca, err = loadCA(s.paths); err != nil {
		return nil, err
	}
	if s.db, err = sqldb.Open(ctx, sqldb.Config{URL: cfg.DatabaseURL(dir)}); err != nil {
		return nil, err
	}
	secrets, err := secret.File(s.paths.SecretsKey)
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	ledger.NewKey(secrets).Bind(s.db) // before anything is written
	if s.keys, err = evidenceKeys(ctx, dir, cfg, s.ca, s.db); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if s.blobs, err = openBlobs(dir, cfg, s.keys); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	var known bool
	if s.recovery, known, err = recoveryKey(ctx, s.paths, s.db); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	if s.checkpoints, err = checkpoint.Open(ctx, checkpoint.Config{DB: s.db, KeyFile: s.paths.LedgerKey, Dir: s.paths.LedgerNotes,
		Name: ledgerName(s.ca), Log: log}); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	say, err := sayings()
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	own, err := ownStepsOf(s.paths) // the playbooks of the guide are there without it
	s.acts, err = act.New(act.Config{Secrets: &secrets, OwnSteps: own, OwnStepsErr: err, Checkpoints: s.checkpoints, Outside: outside(dir, cfg, s.paths, s.db, s.checkpoints, log), DB: s.db, CA: s.ca, Blobs: s.blobs, Hub: s.hub, Addresses: cfg.Addresses, Backup: s.backup, Prove: s.proveBackup, Care: s.cares, Recovery: &s.recovery, OwnAddr: isOwnAddr, Inbound: answers, Say: say, Log: log})
	if err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	err = s.recordKeys(ctx)
	if err == nil {
		s.rotatedFrom, err = s.endRotation(ctx, act.Actor{Kind: act.BySystem})
	}
	if !known && err == nil {
		err = s.acts.UseRecoveryKey(ctx, act.Actor{Kind: act.BySystem}, false)
	}
	if err != nil && !errors.Is(err, organisation.ErrNotFound) { // before init is done
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// sayings are the words of the console for the timelines that documents print.
func sayings() (func(l i18n.Language, e incident.Entry, names map[string]string) string, error) {
	texts, err := console.Texts()
	if err != nil {
		return nil, err
	}
	return func(l i18n.Language, e incident.Entry, names map[string]string) string {
		return console.Told(texts.Printer(l), e, names)
	}, nil
}

// isOwnAddr reports whether an address is one of this machine.
func isOwnAddr(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	return slices.ContainsFunc(own, func(n net.Addr) bool {
		p, err := netip.ParsePrefix(n.String())
		return err == nil && p.Addr().Unmap() == a
	})
}

// Close closes the database.
func (s *store) Close() error { return s.db.Close() }

// Folders of a backup.
const (
	backupData = "data" // database and evidence, as package fsck writes and checks them
	backupKeys = "keys" // settings, CA and keys: whoever has them can be this collector
	// backupNotes in backupKeys holds the newest signed states of the ledgers, which belong in pki/ledger.
	backupNotes = "ledger"
)

// backup copies everything into dir.
func (s *store) backup(ctx context.Context, dir string) error {
	notes, err := s.backupData(ctx, filepath.Join(dir, backupData))
	if err != nil {
		return err
	}
	keys := filepath.Join(dir, backupKeys)
	if err := durable.MkdirAll(keys, 0o700); err != nil {
		return fmt.Errorf("back up keys: %w", err)
	}
	p := s.paths
	for _, from := range []string{p.Settings, p.CACert, p.CAKey, p.CollectorPEM, p.CollectorKey, p.RecoveryKey, p.SecretsKey, p.LedgerKey} {
		b, err := os.ReadFile(from)
		if (from == p.LedgerKey || from == p.SecretsKey) && errors.Is(err, fs.ErrNotExist) {
			continue // lost; all the rest is needed the more
		}
		if err != nil {
			return fmt.Errorf("back up keys: %w", err)
		}
		if err := durable.WriteFile(filepath.Join(keys, filepath.Base(from)), b, 0o600); err != nil {
			return fmt.Errorf("back up keys: %w", err)
		}
	}
	return notes.Store(filepath.Join(keys, backupNotes))
}

// proveBackup proves what backup wrote into dir.
func (s *store) proveBackup(ctx context.Context, dir string) (fsck.Report, error) {
	_, r, err := fsck.Prove(ctx, fsck.ProveConfig{Dir: filepath.Join(dir, backupData), Keys: s.keys, CA: s.ca.Certificate(),
		Checkpoints: func(db *sqldb.DB) (*checkpoint.Log, error) {
			ledger.KeyOf(s.db).Bind(db)
			return checkpoint.OpenCopy(checkpoint.Config{DB: db, KeyFile: s.paths.LedgerKey, Dir: filepath.Join(dir, backupKeys, backupNotes), Name: ledgerName(s.ca)})
		}}, nil)
	return r, err
}

// cares says how the collector is, as far as a running one told.
func (s *store) cares() watch.Collector {
	if s.care == nil {
		return watch.Collector{BackupDir: s.cfg.Backup.Dir, BackupEvery: s.cfg.Backup.Every()}
	}
	return s.care()
}

// backupData copies database and evidence, and returns the signed states of the ledgers as
// they were before: newer than the copy, they would make it look cut off when it is put back.
// A line that began meanwhile would look invented, so that it is copied again then.
func (s *store) backupData(ctx context.Context, dir string) (checkpoint.Copy, error) {
	for range 3 {
		notes, err := s.checkpoints.Copy()
		if err != nil {
			return nil, err
		}
		if _, err := fsck.Backup(ctx, fsck.BackupConfig{DB: s.db, Blobs: s.blobs, Keys: s.keys, Dir: dir}, nil); err != nil {
			return nil, err
		}
		now, err := s.checkpoints.Copy()
		if err != nil {
			return nil, err
		}
		if notes.SameLines(now) {
			return notes, nil
		}
	}
	return nil, errors.New("back up: the ledgers are being signed under new names all the time")
}

// collectorCertificate returns the collector's own certificate. It is issued when
// there is none, when two thirds of its life are over, and when the collector is to
// be found elsewhere than it says; the key stays.
func collectorCertificate(p config.Paths, ca *pki.CA, cfg config.Config, now time.Time) (tls.Certificate, error) {
	keyPEM, err := os.ReadFile(p.CollectorKey)
	if errors.Is(err, fs.ErrNotExist) {
		key, err := pki.NewKey()
		if err != nil {
			return tls.Certificate{}, err
		}
		if keyPEM, err = pki.KeyPEM(key); err != nil {
			return tls.Certificate{}, err
		}
		if err := durable.CreateFile(p.CollectorKey, keyPEM, 0o600); err != nil {
			return tls.Certificate{}, fmt.Errorf("store collector's key: %w", err)
		}
	} else if err != nil {
		return tls.Certificate{}, fmt.Errorf("load collector's key: %w", err)
	}
	key, err := pki.ParseKeyPEM(keyPEM)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("load collector's key: %w", err)
	}
	names, ips := namesOf(cfg)
	if b, err := os.ReadFile(p.CollectorPEM); err == nil {
		cert, err := pki.ParseCertificatePEM(b)
		if err == nil && fresh(cert, names, ips, now) {
			return pki.TLSCertificate(cert.Raw, key, ca.Certificate().Raw)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return tls.Certificate{}, fmt.Errorf("load collector's certificate: %w", err)
	}
	der, _, err := ca.IssueCollector(names, ips, key.Public(), now)
	if err != nil {
		return tls.Certificate{}, err
	}
	pem := append(bytes.Clone(pki.CertificatePEM(der)), ca.CertificatePEM()...)
	if err := durable.WriteFile(p.CollectorPEM, pem, 0o644); err != nil {
		return tls.Certificate{}, fmt.Errorf("store collector's certificate: %w", err)
	}
	return pki.TLSCertificate(der, key, ca.Certificate().Raw)
}

func fresh(cert *x509.Certificate, names []string, ips []net.IP, now time.Time) bool {
	if now.After(cert.NotBefore.Add(cert.NotAfter.Sub(cert.NotBefore) * 2 / 3)) {
		return false
	}
	return slices.Equal(cert.DNSNames, names) && slices.EqualFunc(cert.IPAddresses, ips, net.IP.Equal)
}

// namesOf are the names and addresses under which browsers may come.
func namesOf(cfg config.Config) (names []string, ips []net.IP) {
	hosts := []string{"localhost", "127.0.0.1", "::1"}
	if h, err := os.Hostname(); err == nil {
		hosts = append(hosts, h)
	}
	for _, a := range append([]string{cfg.Listen.Console}, cfg.Addresses...) {
		if h, _, err := net.SplitHostPort(a); err == nil {
			hosts = append(hosts, h)
		}
	}
	for _, h := range hosts {
		ip := net.ParseIP(h)
		switch {
		case ip != nil && !ip.IsUnspecified() && !slices.ContainsFunc(ips, ip.Equal):
			ips = append(ips, ip)
		case ip == nil && h != "" && !slices.Contains(names, h):
			names = append(names, h)
		}
	}
	return names, ips
}

// consoleHosts are the names and addresses that the console answers to: nil, for any,
// unless it listens on loopback alone. Over HTTPS the certificate tells its name.
func consoleHosts(cfg config.Config) []string {
	if !cfg.ConsoleIsLocal() {
		return nil
	}
	hosts, ips := namesOf(cfg)
	for _, ip := range ips {
		hosts = append(hosts, ip.String())
	}
	return append(hosts, cfg.Listen.ConsoleNames...)
}
