package ransom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// NewBackup returns the probe of what the PC might be restored from, of the system whose
// files are below root, usually "/".
func NewBackup(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindBackup, Schema: record.SchemaBackup, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return backups(ctx, root, o) },
	})
}

// snapshotDirs are folders, below the place where a file system is mounted, in which each
// name is a snapshot.
func snapshotDirs() [][2]string {
	return [][2]string{
		{".snapshots", "snapper"}, {".zfs/snapshot", "zfs"}, {"timeshift/snapshots", "timeshift"}, {"timeshift-btrfs/snapshots", "timeshift"},
		{"btrbk_snapshots", "btrbk"}, {"#snapshot", "nas"}, {".btrfs/snapshot", "btrfs"},
	}
}

// programs are files and folders of backup programs; "~/" is each home.
func programs() [][2]string {
	return [][2]string{
		{"etc/timeshift", "timeshift"}, {"etc/snapper/configs", "snapper"}, {"etc/btrbk", "btrbk"}, {"etc/sanoid", "sanoid"},
		{"etc/lvm/backup", "lvm"}, {"etc/lvm/archive", "lvm"}, {"etc/rsnapshot.conf", "rsnapshot"}, {"var/cache/rsnapshot", "rsnapshot"},
		{"etc/restic", "restic"}, {"~/.cache/restic", "restic"}, {"etc/borgmatic", "borg"}, {"~/.config/borg", "borg"}, {"~/.cache/borg", "borg"},
		{"~/.cache/duplicity", "duplicity"}, {"~/.cache/deja-dup", "deja-dup"}, {"~/.config/kopia", "kopia"}, {"~/.config/rclone", "rclone"}, {"~/.duplicacy", "duplicacy"},
		{"etc/bacula", "bacula"}, {"var/lib/bacula", "bacula"}, {"etc/bareos", "bareos"}, {"var/lib/bareos", "bareos"}, {"etc/amanda", "amanda"}, {"var/lib/amanda", "amanda"},
		{"etc/BackupPC", "backuppc"}, {"var/lib/backuppc", "backuppc"}, {"etc/urbackup", "urbackup"}, {"var/urbackup", "urbackup"},
		{"etc/veeam", "veeam"}, {"var/lib/veeam", "veeam"}, {"var/lib/Acronis", "acronis"}, {"opt/commvault", "commvault"}, {"usr/openv", "netbackup"}, {"opt/tivoli/tsm", "tsm"},
		{"etc/tarsnap.conf", "tarsnap"}, {"etc/proxmox-backup", "proxmox"}, {"var/lib/vz/dump", "proxmox"}, {"var/backups", "system"},
	}
}

func backups(ctx context.Context, root string, o *facts.Out) error {
	t, err := tree.Open(root)
	if err != nil {
		return err
	}
	points := t.Local()
	if !slices.Contains(points, "") {
		points = append(points, "")
	}
	slices.Sort(points)
	for _, p := range points {
		if first, _, _ := strings.Cut(p, "/"); first == "proc" || first == "sys" || first == "dev" || first == "run" {
			continue
		}
		for _, s := range snapshotDirs() {
			if err := snapshots(ctx, t, tree.Join(p, s[0]), s[1], o); err != nil {
				return err
			}
		}
	}
	if err := devices(root, o); err != nil {
		return err
	}
	homes, err := t.Homes()
	o.Miss(err)
	for _, p := range programs() {
		paths := []string{p[0]}
		if rest, ok := strings.CutPrefix(p[0], "~/"); ok {
			paths = paths[:0]
			for _, h := range homes {
				paths = append(paths, h+"/"+rest)
			}
		}
		for _, path := range paths {
			if err := program(ctx, t, path, p[1], o); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// snapshots tells of the names in a folder. They are not looked at: to do so may mount
// them.
func snapshots(ctx context.Context, t *tree.Tree, dir, system string, o *facts.Out) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, err := t.Dir(dir)
	if err != nil {
		o.Miss(err)
		return nil
	}
	defer d.Close()
	names, more, err := d.Names(maxListed)
	o.Miss(err)
	if more {
		o.Miss(fmt.Errorf("/%s: more than %d snapshots", dir, maxListed))
	}
	for _, n := range names {
		k := record.Backup{Type: record.BackupSnapshot, System: system}
		k.Name, k.NameB = record.TextOf(n)
		k.Path, k.PathB = record.TextOf("/" + tree.Join(d.Path, n))
		if err := o.Write(&k); err != nil {
			return err
		}
	}
	return nil
}

// devices tells of snapshots of logical volumes, which the kernel's device mapper shows as
// NAME-cow, and of the pools of ZFS.
func devices(root string, o *facts.Out) error {
	r, err := facts.Open(root)
	if err != nil {
		return err
	}
	defer r.Close()
	names, err := r.List("sys/class/block", maxListed)
	o.Miss(err)
	for _, n := range names {
		mapped := r.Value("sys/class/block/" + n + "/dm/name")
		name, ok := strings.CutSuffix(mapped, "-cow")
		if !ok || !strings.HasPrefix(r.Value("sys/class/block/"+n+"/dm/uuid"), "LVM-") {
			continue
		}
		k := record.Backup{Type: record.BackupSnapshot, System: "lvm"}
		k.Name, k.NameB = record.TextOf(name)
		if err := o.Write(&k); err != nil {
			return err
		}
	}
	pools, err := r.List("proc/spl/kstat/zfs", maxListed)
	o.Miss(err)
	for _, n := range pools {
		st, err := r.Lstat("proc/spl/kstat/zfs/" + n)
		if err != nil || !st.IsDir() {
			continue
		}
		k := record.Backup{Type: record.BackupPool, System: "zfs"}
		k.Name, k.NameB = record.TextOf(n)
		if err := o.Write(&k); err != nil {
			return err
		}
	}
	return nil
}

// program tells of a file or folder of a backup program.
func program(ctx context.Context, t *tree.Tree, path, system string, o *facts.Out) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	parent, name := tree.Split(path)
	d, err := t.Dir(parent)
	if err != nil {
		o.Miss(err)
		return nil
	}
	defer d.Close()
	st, err := d.Stat(name)
	if err != nil {
		o.Miss(err)
		return nil
	}
	k := record.Backup{Type: record.BackupProgram, System: system, Name: system, Modified: st.M}
	k.Path, k.PathB = record.TextOf("/" + path)
	if st.IsDir() {
		k.Newest = newest(d, name, o)
	}
	return o.Write(&k)
}

func newest(d *tree.Dir, name string, o *facts.Out) (at time.Time) {
	sub, err := d.Sub(name)
	if err != nil {
		o.Miss(err)
		return at
	}
	defer sub.Close()
	names, _, err := sub.Names(maxListed)
	o.Miss(err)
	for _, n := range names {
		if st, err := sub.Stat(n); err == nil && st.M.After(at) {
			at = st.M
		}
	}
	return at
}
