package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/checkpoint"
	"hozen/collector/internal/config"
	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/i18n"
)

// restoredButDB puts all of a backup but its database into a new data folder, as a person does.
func restoredButDB(t *testing.T, from string) (*cli, config.Paths) {
	t.Helper()
	c, _, _ := testCLI(t, i18n.English)
	c.data = filepath.Join(t.TempDir(), "data")
	p := config.PathsOf(c.data)
	must(t, os.MkdirAll(filepath.Dir(p.LedgerNotes), 0o700))
	for _, to := range []string{p.Settings, p.CACert, p.CAKey, p.CollectorPEM, p.CollectorKey, p.RecoveryKey, p.SecretsKey, p.LedgerKey} {
		b, err := os.ReadFile(filepath.Join(from, backupKeys, filepath.Base(to)))
		if os.IsNotExist(err) && to == p.LedgerKey {
			continue
		}
		must(t, err)
		must(t, os.WriteFile(to, b, 0o600))
	}
	must(t, os.CopyFS(p.LedgerNotes, os.DirFS(filepath.Join(from, backupKeys, backupNotes))))
	must(t, os.CopyFS(filepath.Join(c.data, "evidence"), os.DirFS(filepath.Join(from, backupData, "blobs"))))
	return c, p
}

// restored puts a backup into a new data folder, with its database as a SQLite file there.
func restored(t *testing.T, from string) (*cli, config.Paths) {
	t.Helper()
	c, p := restoredButDB(t, from)
	b, err := os.ReadFile(filepath.Join(from, backupData, "hozen.db"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(c.data, "hozen.db"), b, 0o600))
	return c, p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// differences are the kinds that a collector tells of its ledgers, and what fsck names.
func differences(t *testing.T, c *cli, cfg config.Config) (kinds []checkpoint.Kind, codes []string) {
	t.Helper()
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	list, err := s.acts.LedgerDifferences(t.Context())
	must(t, err)
	for _, d := range list {
		kinds = append(kinds, d.Kind)
	}
	r, err := s.acts.Fsck(t.Context(), c.offline(), nil, nil)
	must(t, err)
	for _, p := range r.Problems {
		codes = append(codes, p.String())
	}
	return kinds, codes
}

// backedUp signs the ledger and copies everything, as often as said.
func backedUp(t *testing.T, c *cli, cfg config.Config, times int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "backup")
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	for range times {
		_, err = s.acts.LedgerSigned(t.Context(), act.Actor{Kind: act.BySystem})
		must(t, err)
		must(t, s.acts.Backup(t.Context(), c.offline(), dir))
	}
	return dir
}

// A backup that is put back is taken without a word; without the files of the signed states
// it is not taken for a ledger that was never signed.
func TestBackupAndRestore(t *testing.T) {
	c, cfg, _ := made(t)
	dir := backedUp(t, c, cfg, 2)
	back, p := restored(t, dir)
	if kinds, codes := differences(t, back, cfg); len(kinds) != 0 || len(codes) != 0 {
		t.Errorf("told of %v, %v", kinds, codes)
	}
	backedUp(t, back, cfg, 1) // it is signed on

	back, p = restored(t, dir)
	must(t, os.RemoveAll(p.LedgerNotes))
	if kinds, codes := differences(t, back, cfg); len(kinds) != 1 || kinds[0] != checkpoint.BadFile || len(codes) != 1 {
		t.Errorf("without the files: told of %v, %v", kinds, codes)
	}
}

// A database comes back from a backup onto PostgreSQL or SQLite, wherever it was before.
func TestRestoreDatabase(t *testing.T) {
	const file = "sqlite:hozen.db"
	for name, of := range map[string]struct{ was, becomes func(t *testing.T) string }{
		"postgres": {pgURL, pgURL},
		"move in":  {func(*testing.T) string { return file }, pgURL},
		"move out": {pgURL, func(*testing.T) string { return file }},
	} {
		t.Run(name, func(t *testing.T) {
			c, cfg, _ := madeOn(t, of.was(t))
			dir := backedUp(t, c, cfg, 2)
			back, p := restoredButDB(t, dir)
			cfg.Storage.Database = of.becomes(t)
			must(t, os.WriteFile(p.Settings, []byte(cfg.Text()), 0o600))
			must(t, back.restoreDatabase(t.Context(), dir))
			if kinds, codes := differences(t, back, cfg); len(kinds) != 0 || len(codes) != 0 {
				t.Errorf("told of %v, %v", kinds, codes)
			}
			backedUp(t, back, cfg, 1) // it is signed on
			if err := back.restoreDatabase(t.Context(), dir); !errors.Is(err, act.ErrConflict) {
				t.Errorf("over a database that is used: %v", err)
			}
		})
	}
}

func pgURL(t *testing.T) string { return sqldbtest.PostgresURL(t) }

// A database that is not the one of the note is not put back.
func TestRestoreDatabaseHoldsItAgainstTheNote(t *testing.T) {
	c, cfg, _ := made(t)
	dir := backedUp(t, c, cfg, 1)
	other, otherCfg, _ := made(t)
	b, err := os.ReadFile(filepath.Join(backedUp(t, other, otherCfg, 1), backupData, "hozen.db"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, backupData, "hozen.db"), b, 0o600))
	back, _ := restoredButDB(t, dir)
	if err := back.restoreDatabase(t.Context(), dir); err == nil {
		t.Error("another database was put back")
	}
	if err := back.restoreDatabase(t.Context(), t.TempDir()); err == nil {
		t.Error("a folder without a backup was put back")
	}
}

// A lost key of the ledger keeps nobody from saving all the rest.
func TestBackupWithoutTheLedgersKey(t *testing.T) {
	c, cfg, p := made(t)
	backedUp(t, c, cfg, 1)
	must(t, os.Remove(p.LedgerKey))
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	dir := filepath.Join(t.TempDir(), "backup")
	must(t, s.acts.Backup(t.Context(), c.offline(), dir))
	must(t, s.Close())
	back, _ := restored(t, dir)
	if kinds, _ := differences(t, back, cfg); len(kinds) != 1 || kinds[0] != checkpoint.KeyLost {
		t.Errorf("told of %v", kinds)
	}
}

// Whoever writes an entry into the database of a stopped collector gets it signed by nobody, and
// a lost key of the secrets is told of as that.
func TestForgedEntryOfAStoppedCollector(t *testing.T) {
	c, cfg, _ := made(t)
	dir := backedUp(t, c, cfg, 1)
	db, err := sqldb.Open(t.Context(), sqldb.Config{URL: cfg.DatabaseURL(c.data)})
	must(t, err)
	heads, err := ledger.Heads(t.Context(), db.Read())
	must(t, err)
	must(t, db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
		_, err := ledger.Append(ctx, tx, ledger.Entry{OrganisationID: heads[0].OrganisationID, At: time.Now(), ActorKind: "system", Act: "incident.note", Subject: "inc_x"})
		return err
	}))
	must(t, db.Close())
	forged := fmt.Sprintf("checkpoint_forged: ledger %d: entry %[1]d: ", heads[0].Size)
	if _, codes := differences(t, c, cfg); len(codes) != 1 || !strings.HasPrefix(codes[0], forged) {
		t.Errorf("told of %q, want %q", codes, forged)
	}
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	if _, err := s.acts.LedgerSigned(t.Context(), act.Actor{Kind: act.BySystem}); !errors.Is(err, checkpoint.ErrDiffers) {
		t.Errorf("it was signed: %v", err)
	}
	// A copy that has it is not taken for a right one.
	for from, want := range map[string]string{dir: "", filepath.Join(t.TempDir(), "later"): forged} {
		if want != "" {
			must(t, s.acts.Backup(t.Context(), c.offline(), from))
		}
		r, err := s.acts.ProveBackup(t.Context(), c.offline(), from)
		must(t, err)
		if len(r.Problems) > 0 != (want != "") || want != "" && !strings.HasPrefix(r.Problems[0].String(), want) || len(r.Problems) > 1 {
			t.Errorf("the backup has %v, want %q", r.Problems, want)
		}
	}
	must(t, s.Close())

	back, p := restored(t, dir)
	must(t, os.Remove(p.SecretsKey))
	if _, codes := differences(t, back, cfg); len(codes) != 1 || !strings.HasPrefix(codes[0], "checkpoint_entry_key: ") {
		t.Errorf("told of %q", codes)
	}
}
