package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/config"
	"hozen/collector/internal/cosign"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/timestamp"
)

// outside makes who speaks for the ledger beside this collector. What is wrong about them is
// told and keeps nothing from starting: an emergency does not wait for a file of
// certificates.
func outside(dir string, cfg config.Config, paths config.Paths, db *sqldb.DB, signer *checkpoint.Log, log *slog.Logger) act.Outside {
	var o act.Outside
	var faults []string
	if cfg.Timestamp.URL != "" {
		authority, err := stampAuthority(dir, cfg)
		if err == nil {
			o.Stamper, err = timestamp.New(timestamp.Config{DB: db, Authority: authority, Signer: signer, Dir: paths.LedgerNotes, Log: log})
		}
		if err != nil {
			faults = append(faults, "[timestamp]: "+err.Error())
		}
	}
	if len(cfg.Ledger.Witnesses) > 0 {
		witnesses, err := witnessesOf(cfg)
		if err == nil {
			o.Cosigner, err = cosign.New(cosign.Config{DB: db, Log: signer, Witnesses: witnesses, Logger: log})
		}
		if err != nil {
			faults = append(faults, "[ledger] witnesses: "+err.Error())
		}
	}
	if o.Fault = strings.Join(faults, "; "); o.Fault != "" {
		log.Error("nobody outside speaks for the ledger as the settings say", slog.String("fault", o.Fault))
	}
	return o
}

func stampAuthority(dir string, cfg config.Config) (*timestamp.Authority, error) {
	ca, password := cfg.TimestampFiles(dir)
	a := timestamp.AuthorityConfig{URL: cfg.Timestamp.URL, User: cfg.Timestamp.User}
	var err error
	if a.Policy, err = timestamp.ParsePolicy(cfg.Timestamp.Policy); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			return nil, err
		}
		if a.Roots, err = timestamp.RootsPEM(b); err != nil {
			return nil, fmt.Errorf("%s: %w", ca, err)
		}
	}
	if password != "" {
		b, err := readPrivate(password)
		if err != nil {
			return nil, err
		}
		line, _, _ := bytes.Cut(b, []byte("\n"))
		a.Password = string(bytes.TrimSuffix(line, []byte("\r")))
	}
	return timestamp.NewAuthority(a)
}

// readPrivate reads a file that nobody but its owner may read.
func readPrivate(path string) ([]byte, error) {
	fi, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	// Windows has no such bits; there the folder's access list holds.
	if p := fi.Mode().Perm(); p&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("others can read password_file %q (mode %04o): chmod 600 it, and have the password changed if somebody may have read it", path, p)
	}
	return os.ReadFile(path)
}

func witnessesOf(cfg config.Config) ([]cosign.Witness, error) {
	var out []cosign.Witness
	var err error
	for _, text := range cfg.Ledger.Witnesses {
		w, werr := cosign.ParseWitness(text)
		if werr == nil {
			out = append(out, w)
		}
		err = errors.Join(err, werr)
	}
	return out, err
}
