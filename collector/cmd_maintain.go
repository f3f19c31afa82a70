package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"hozen/collector/internal/act"
	"hozen/collector/internal/config"
	"hozen/collector/internal/fsck"
	"hozen/collector/internal/localapi"
	"hozen/collector/internal/osservice"
	"hozen/collector/internal/sqldb"
	"hozen/internal/buildinfo"
)

func (c *cli) statusCmd() *cobra.Command {
	return &cobra.Command{Use: "status", Short: "Ask the running collector where it listens", Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			socket, err := c.socket()
			if err != nil {
				return err
			}
			var s localapi.Status
			if err := localapi.NewClient(socket, "", "").Call(cmd.Context(), "status", localapi.None{}, &s); err != nil {
				return err
			}
			return c.print(s, func() {
				for _, d := range s.Ledger {
					c.line(c.sentence("ledger.differs." + d.Kind))
					c.line(c.sentence("ledger.differs.next", "detail", c.text.Detail(d.Detail)))
				}
				c.sayOutside(s.Outside)
				c.fields([2]string{"collector", s.Name}, [2]string{"version", s.Version}, [2]string{"agents", s.Agents},
					[2]string{"addresses", strings.Join(s.Addresses, " ")}, [2]string{"console", s.Console}, [2]string{"ca", s.CASHA256})
			})
		}}
}

func (c *cli) fsckCmd() *cobra.Command {
	var files []string
	cmd := &cobra.Command{Use: "fsck", Short: "Prove again, from bytes, everything that is kept",
		Long: `Verify ledger, evidence, receipts and blobs from their bytes, and the ledger against
everything that was signed of it. It asks the running collector, or looks itself when none
runs. A ledger that was put back to an older state shows only against a later checkpoint
that was kept elsewhere: give it with --checkpoint, as a file of its own or as the evidence
package (zip) that has it. Exit code 9 means that something is wrong.`,
		Args: argsExactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var r localapi.Check
			in, err := keptNotes(files)
			if err != nil {
				return err
			}
			err = c.here(cmd.Context(), "fsck", in, &r, func(ctx context.Context, s *store) error {
				report, err := s.acts.Fsck(ctx, c.offline(), in.Known(), c.step)
				r = localapi.ViewCheck(report)
				return err
			})
			if err != nil {
				return err
			}
			return c.printCheck(r)
		}}
	cmd.Flags().StringArrayVar(&files, "checkpoint", nil, "a later checkpoint, kept elsewhere, in this `file` or evidence package; may be repeated")
	return cmd
}

// keptNotes reads checkpoints that were kept elsewhere.
func keptNotes(files []string) (localapi.CheckAll, error) {
	var in localapi.CheckAll
	for _, name := range files {
		b, err := keptNote(name)
		if err != nil {
			return in, err
		}
		in.Kept = append(in.Kept, localapi.Kept{Name: name, Note: string(b)})
	}
	return in, nil
}

func (c *cli) printCheck(r localapi.Check) error {
	if err := c.print(r, func() {
		for _, p := range r.Problems {
			c.line(c.problemLine(p))
		}
		for _, p := range r.Notes { // nothing is wrong, and it says so
			if key := "fsck.note." + p.Code; c.text.Has(key) {
				c.say(key, "subject", p.Subject)
				continue
			}
			c.line(c.problemLine(p))
		}
		key := "fsck.clean"
		if !r.Clean {
			key = "fsck.problems"
		}
		c.say(key, "problems", itoa(len(r.Problems)), "entries", itoa(r.Entries), "acquisitions", itoa(r.Acquisitions),
			"items", itoa(r.Items), "blobs", itoa(r.Blobs), "bytes", size(r.Bytes), "disposed", itoa(r.Disposed))
	}); err != nil {
		return err
	}
	if !r.Clean {
		return errProblems
	}
	return nil
}

// problemLine names a problem: its code and the thing for whoever looks it up, then whose row it
// is, and what is wrong.
func (c *cli) problemLine(p localapi.Problem) string {
	detail := c.text.Detail(p.Detail)
	if of, _, ok := cutLast(p.Code, "_"); ok && c.text.Has("fsck.of."+of) {
		detail = c.text.Text("fsck.of."+of) + ": " + detail
	}
	return p.Code + "  " + p.Subject + "  " + detail
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func (c *cli) backupCmd() *cobra.Command {
	return &cobra.Command{Use: "backup DIR", Short: "Copy everything, keys included, into a folder",
		Long: `Copy database, evidence, settings and keys into DIR on the collector's machine; an
earlier backup there is brought up to date, copying only new evidence. The collector may
go on working. Whoever has the keys in it can be this collector: keep it safe. The evidence
in it stays encrypted; its key file is not copied: keep that elsewhere (storage key).
A database on PostgreSQL is copied too, into the same kind of file (restore-database).`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("back up: %w", err)
			}
			err = c.here(cmd.Context(), "backup", localapi.BackUp{Dir: dir}, nil, func(ctx context.Context, s *store) error {
				return s.acts.Backup(ctx, c.offline(), dir)
			})
			if err != nil {
				return err
			}
			return c.print(map[string]string{"dir": dir}, func() {
				c.say("backup.done", "dir", dir)
				if data, cfg, err := c.folder(); err == nil { // whoever may not read the settings has no key to keep
					c.say("backup.without_key", "file", cfg.KeyFilePath(data))
				}
			})
		}}
}

func (c *cli) restoreDatabaseCmd() *cobra.Command {
	return &cobra.Command{Use: "restore-database DIR", Short: "Put the database of a backup into that of the settings",
		Long: `Put the database of the backup in DIR into the one that the settings name, while the
collector is stopped: PostgreSQL or SQLite, whichever it was copied from. That database must
be empty, and the program of the version that made the backup. The ledger is proved again
there. Everything else of the backup is put back as the manual says.`,
		Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.restoreDatabase(cmd.Context(), args[0]) }}
}

func (c *cli) restoreDatabase(ctx context.Context, from string) error {
	dir, cfg, err := c.folder()
	if err != nil {
		return err
	}
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	db, err := sqldb.Open(ctx, sqldb.Config{URL: cfg.DatabaseURL(dir)})
	if err != nil {
		return err
	}
	n, err := fsck.RestoreDB(ctx, db, filepath.Join(from, backupData))
	if errors.Is(err, sqldb.ErrNotEmpty) {
		err = fmt.Errorf("%w: %w", act.ErrConflict, err)
	}
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	return c.print(n, func() { c.say("backup.database", "at", n.At.Format(time.RFC3339)) })
}

// here asks the running collector, and works on the data folder itself when none runs.
func (c *cli) here(ctx context.Context, verb string, in, out any, direct func(ctx context.Context, s *store) error) error {
	cl, err := c.client()
	if err != nil {
		return err
	}
	err = cl.Follow(ctx, verb, in, out, func(raw json.RawMessage) error {
		var s localapi.Step
		if err := json.Unmarshal(raw, &s); err != nil {
			return fmt.Errorf("read the collector's answer: %w", err)
		}
		c.step(s.Step, s.Done, s.Total)
		return nil
	})
	if !errors.Is(err, localapi.ErrNotRunning) {
		return err
	}
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return err
	}
	cfg, err := loadConfig(dir)
	if err != nil {
		return err
	}
	// Nobody may start to serve meanwhile.
	unlock, err := localapi.Lock(config.PathsOf(dir).Lock)
	if err != nil {
		return err
	}
	defer unlock()
	s, err := openStore(ctx, dir, cfg, newLog(c.std.err, cfg.Log))
	if err != nil {
		return err
	}
	return errors.Join(direct(ctx, s), s.Close())
}

// offline is who acts on a data folder without a collector: whoever can read the keys.
func (c *cli) offline() act.Actor {
	reason := c.breakGlass
	if reason == "" {
		reason = "the collector was not running"
	}
	return act.Actor{Kind: act.ByLocal, Name: fmt.Sprintf("uid %d", os.Getuid()), BreakGlass: reason}
}

// step shows progress on standard error.
func (c *cli) step(step string, done, total int) {
	if c.json {
		return
	}
	if done == total || total == 0 && done%1000 == 0 {
		key, of := "working.some", ""
		if total > 0 {
			key, of = "working", itoa(total)
		}
		c.note(key, "step", c.text.Text("working."+step), "done", itoa(done), "total", of)
	}
}

func (c *cli) serviceCmd() *cobra.Command {
	do := func(use, short string, fn func() error) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: argsExactly(0), RunE: func(*cobra.Command, []string) error {
			if err := fn(); err != nil {
				return err
			}
			return c.print(map[string]string{"done": use}, func() { c.say("service.done." + use) })
		}}
	}
	status := &cobra.Command{Use: "status", Short: "Say how the service is: running, stopped, not_installed, unknown", Args: argsExactly(0),
		RunE: func(*cobra.Command, []string) error {
			s, err := osservice.Status()
			if err != nil {
				return err
			}
			return c.print(map[string]string{"state": string(s)}, func() { c.say("service.state." + string(s)) })
		}}
	return group("service", "Run with the operating system: install, uninstall, start, stop, status",
		do("install", "Start the collector with the machine", c.installService), do("uninstall", "Stop and take the service away; data stay", osservice.Uninstall),
		do("start", "Start the service now", osservice.Start), do("stop", "Stop the service", osservice.Stop), status)
}

func (c *cli) installService() error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return fmt.Errorf("install service: %w", err)
	}
	if _, err := loadConfig(dir); err != nil {
		return err // a service that can't start helps nobody
	}
	args := []string{"serve", "--service"}
	if dir != defaultData(func(string) string { return "" }) {
		args = append(args, "--data", dir)
	}
	return osservice.Install(osservice.Config{Executable: exe, Arguments: args})
}

func (c *cli) versionCmd() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Say which build this is", Args: argsExactly(0),
		RunE: func(*cobra.Command, []string) error {
			b := buildinfo.Get()
			return c.print(map[string]string{"version": b.Version, "commit": b.Commit, "go": b.Go, "os": b.OS, "arch": b.Arch}, func() {
				c.line(fmt.Sprintf("hozen-collector %s (%s, %s, %s/%s)", b.Version, b.Commit, b.Go, b.OS, b.Arch))
			})
		}}
}
