package autostart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxFiles = 8192    // in one place
	maxFile  = 1 << 20 // bytes that are hashed of one file
	maxHomes = 1024
)

// place is where files lie by which something starts, relative to the root or to a home.
type place struct {
	category, path string
	depth          int // of folders; 0 for a single file
}

// places are those of the system.
func places() []place {
	return []place{
		{"preload", "etc/ld.so.preload", 0}, {"preload", "etc/ld.so.conf", 0}, {"preload", "etc/ld.so.conf.d", 1},
		{"systemd", "etc/systemd/system", 3}, {"systemd", "run/systemd/system", 3}, {"systemd", "run/systemd/transient", 1}, {"systemd", "run/systemd/generator", 2},
		{"systemd", "usr/local/lib/systemd/system", 3}, {"systemd", "usr/lib/systemd/system", 3}, {"systemd", "etc/systemd/system-generators", 1}, {"systemd", "usr/lib/systemd/system-generators", 1},
		{"systemd_user", "etc/systemd/user", 3}, {"systemd_user", "usr/lib/systemd/user", 3},
		{"cron", "etc/crontab", 0}, {"cron", "etc/anacrontab", 0}, {"cron", "etc/cron.d", 1}, {"cron", "etc/cron.hourly", 1}, {"cron", "etc/cron.daily", 1},
		{"cron", "etc/cron.weekly", 1}, {"cron", "etc/cron.monthly", 1}, {"cron", "var/spool/cron", 2}, {"at", "var/spool/at", 2},
		{"init", "etc/rc.local", 0}, {"init", "etc/inittab", 0}, {"init", "etc/init.d", 1}, {"init", "etc/init", 1},
		{"profile", "etc/profile", 0}, {"profile", "etc/bash.bashrc", 0}, {"profile", "etc/bashrc", 0}, {"profile", "etc/environment", 0}, {"profile", "etc/profile.d", 1},
		{"profile", "etc/update-motd.d", 1}, {"profile", "etc/zsh", 1},
		{"udev", "etc/udev/rules.d", 1}, {"udev", "run/udev/rules.d", 1}, {"desktop", "etc/xdg/autostart", 1},
		{"modules", "etc/modules", 0}, {"modules", "etc/modules-load.d", 1}, {"modules", "etc/modprobe.d", 1},
	}
}

// homePlaces are those of each user.
func homePlaces() []place {
	return []place{{"systemd_user", ".config/systemd/user", 3}, {"desktop", ".config/autostart", 1}}
}

// New returns the probe of the system whose files are below root, usually "/". Where that
// is another folder, no manager is asked.
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindAutostart, Schema: record.SchemaAutostart, Volatility: probe.Machine, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	if root == "/" {
		if err := loadedUnits(ctx, o); err != nil {
			return err
		}
	}
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, p := range places() {
		if err := files(ctx, r, p, o); err != nil {
			return err
		}
	}
	mounts, err := r.Mounts()
	o.Miss(err)
	for _, home := range homes(r, o) {
		for _, p := range homePlaces() {
			p.path = home + "/" + p.path
			if kind := remote(mounts, r.Readlink, p.path); kind != "" {
				o.Miss(fmt.Errorf("/%s lies on %s, which is not asked", p.path, kind))
				continue
			}
			if err := files(ctx, r, p, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// files tells what lies in a place.
func files(ctx context.Context, r facts.Root, p place, o *facts.Out) error {
	one := func(name string) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		f, err := r.Info(name)
		if err != nil {
			o.Miss(err)
			return nil
		}
		line := record.StartFile{Type: record.AutostartFile, Category: p.category, FileInfo: f}
		if f.FileKind == "dir" {
			return nil
		}
		if f.FileKind == "file" {
			if line.SHA256, err = r.Sum(name, maxFile); err != nil {
				o.Miss(err)
				line.Unread = why(err)
			}
		}
		return o.Write(&line)
	}
	if p.depth == 0 {
		if _, err := r.Lstat(p.path); err != nil {
			o.Miss(err)
			return ctx.Err()
		}
		return one(p.path)
	}
	_, err := r.Walk(p.path, p.depth, maxFiles, o.Miss, one)
	return err
}

func why(err error) string {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return "denied"
	case errors.Is(err, fs.ErrNotExist):
		return "gone"
	}
	return "failed"
}

// homes lists the homes of /etc/passwd, each once, relative to the root.
func homes(r facts.Root, o *facts.Out) []string {
	b, err := r.File("etc/passwd", 1<<20)
	o.Miss(err)
	var list []string
	seen := map[string]bool{}
	for line := range procfs.Lines(b) {
		home := homeOf(line)
		if home == "" || seen[home] {
			continue
		}
		if len(list) == maxHomes {
			o.Miss(fmt.Errorf("only the first %d homes are looked at", maxHomes))
			break
		}
		seen[home] = true
		list = append(list, home)
	}
	return list
}
