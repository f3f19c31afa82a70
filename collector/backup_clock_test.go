package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/config"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/watch"
	"hozen/internal/digest"
)

func TestBackupByTheClock(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { testBackupByTheClock(t, config.Default().Storage.Database) })
	t.Run("postgres", func(t *testing.T) { testBackupByTheClock(t, pgURL(t)) })
}

func testBackupByTheClock(t *testing.T, database string) {
	c, cfg, _ := madeOn(t, database)
	cfg.Backup = config.Backup{Dir: filepath.Join(t.TempDir(), "second place"), EveryHours: 24}
	s, err := openStore(t.Context(), c.data, cfg, discard())
	must(t, err)
	defer func() { must(t, s.Close()) }()
	must(t, s.blobs.Put(t.Context(), digest.Of([]byte("evidence")), 8, strings.NewReader("evidence")))
	now := time.Now()
	clock := newBackupClock(c.data, cfg.Backup, s.acts, discard(), func() time.Time { return now })
	running := &serving{store: s, backups: clock}
	s.care = running.care
	concerns := func() map[watch.Code]watch.Concern {
		t.Helper()
		got := map[watch.Code]watch.Concern{}
		c := s.care()
		c.DiskTight = false // whatever the machine of the test has
		for _, one := range watch.Look(now, nil, c) {
			got[one.Code] = one
		}
		return got
	}

	clock.began = now.Add(-3 * time.Hour) // and nothing was copied, for whatever reason
	if got := concerns(); !got[watch.BackupMissing].Urgent || len(got) != 1 {
		t.Errorf("a planned backup that was never made: %v", got)
	}
	must(t, clock.tick(t.Context()))
	made := clock.newest()
	if made.IsZero() || clock.proved.At.IsZero() || clock.proved.Problems != 0 || len(concerns()) != 0 {
		t.Fatalf("made %v, proved %+v, concerns %v", made, clock.proved, concerns())
	}
	now = now.Add(23 * time.Hour)
	must(t, clock.tick(t.Context()))
	if !clock.newest().Equal(made) {
		t.Error("backed up again before it was time to")
	}
	now = now.Add(2 * 24 * time.Hour)
	if _, late := concerns()[watch.BackupLateCode]; !late {
		t.Errorf("a late backup is no concern: %v", concerns())
	}
	must(t, clock.tick(t.Context()))
	if !clock.newest().After(made) {
		t.Error("not backed up again")
	}

	// One that an older version made of PostgreSQL, without the database, is none.
	note := filepath.Join(cfg.Backup.Dir, backupData, fsck.BackupNote)
	b, err := os.ReadFile(note)
	must(t, err)
	must(t, os.WriteFile(note, bytes.Replace(b, []byte(`"database": "hozen.db"`), []byte(`"database": ""`), 1), 0o600))
	if !clock.newest().IsZero() {
		t.Error("a backup without a database counts")
	}
	must(t, clock.tick(t.Context()))
	if clock.newest().IsZero() {
		t.Error("it was not made whole")
	}

	// What was proved is known after a restart, and bytes that change later are found.
	clock = newBackupClock(c.data, cfg.Backup, s.acts, discard(), func() time.Time { return now })
	running.backups = clock
	if clock.proved.At.IsZero() {
		t.Error("what was proved is forgotten")
	}
	blobs, err := filepath.Glob(filepath.Join(cfg.Backup.Dir, backupData, "blobs", "sha256", "*", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(blobs, err)
	}
	must(t, os.WriteFile(filepath.Join(filepath.Dir(blobs[0]), "letter.txt"), []byte("x"), 0o600))
	now = now.Add(8 * 24 * time.Hour)
	must(t, clock.tick(t.Context()))
	if got := concerns()[watch.BackupBad]; got.Count != 1 || !got.Urgent {
		t.Errorf("a backup with a stranger's file: %v", concerns())
	}

	// The other place is gone.
	must(t, os.RemoveAll(cfg.Backup.Dir))
	must(t, os.WriteFile(cfg.Backup.Dir, nil, 0o600))
	if err := clock.tick(t.Context()); err == nil {
		t.Error("backed up to nowhere without a word")
	}
	if got := concerns()[watch.BackupFailed]; got.Detail == "" || !got.Urgent {
		t.Errorf("a failed backup: %v", concerns())
	}
}
