package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoPostgres means that PostgreSQL's server programs are not on this machine.
var ErrNoPostgres = errors.New("no /usr/lib/postgresql/*/bin/postgres (apt-get install postgresql)")

// Postgres starts a PostgreSQL server of its own in a fresh folder and returns the
// URL of an empty database. It ends with the nursery; the folder is the caller's to
// remove. As root it runs as the account postgres, for it refuses to run as root.
func (n *Nursery) Postgres(ctx context.Context) (url, dir string, err error) {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		return "", "", ErrNoPostgres
	}
	bin := filepath.Dir(bins[len(bins)-1])
	dir, err = os.MkdirTemp("", "hozenpg") // short: a socket's path has 107 bytes
	if err != nil {
		return "", "", fmt.Errorf("make folder: %w", err)
	}
	account := ""
	if os.Geteuid() == 0 {
		account = "postgres"
		if err := HandTo(dir, account); err != nil {
			return "", dir, err
		}
	}
	data := filepath.Join(dir, "data")
	r, err := n.Run(ctx, Spec{Path: filepath.Join(bin, "initdb"), Dir: dir, User: account, Args: []string{"-N", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", data}}, "")
	if err != nil {
		return "", dir, err
	}
	if r.Code != 0 {
		return "", dir, fmt.Errorf("initdb: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	log := filepath.Join(dir, "log")
	server, err := n.Start(Spec{Path: filepath.Join(bin, "postgres"), Dir: dir, User: account, Log: log, Args: []string{
		"-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=32MB"}})
	if err != nil {
		return "", dir, err
	}
	err = Until(ctx, "PostgreSQL", func() (bool, error) {
		b, err := os.ReadFile(log)
		return strings.Contains(string(b), "ready to accept connections"), err
	}, server)
	if err != nil {
		return "", dir, err
	}
	return "postgres://postgres@/postgres?host=" + dir + "&sslmode=disable", dir, nil
}
