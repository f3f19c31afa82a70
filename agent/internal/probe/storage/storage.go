package storage

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxText    = 8 << 20 // of a table of mounts
	maxDevices = 4096
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindStorage, Schema: record.SchemaStorage, Volatility: probe.Presence, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, o) },
	})
}

func read(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	all, err := devices(ctx, r, o)
	if err != nil {
		return err
	}
	mounts, err := r.File("proc/1/mountinfo", maxText)
	if err != nil {
		if mounts, err = r.File("proc/self/mountinfo", maxText); err == nil {
			o.Miss(errors.New("the mounts are those of the agent: process 1 is not to be read"))
		}
	}
	o.Miss(err)
	for line := range procfs.Lines(mounts) {
		m, ok := procfs.ParseMount(line)
		if !ok {
			o.Miss(fmt.Errorf("line of mountinfo not understood: %.80q", line))
			continue
		}
		if err := o.Write(all.mount(m)); err != nil {
			return err
		}
	}
	swaps, err := r.File("proc/swaps", maxText)
	o.Miss(err)
	list, odd := parseSwaps(swaps)
	if odd > 0 {
		o.Miss(fmt.Errorf("%d lines of swaps not understood", odd))
	}
	for i := range list {
		all.swap(&list[i])
		if err := o.Write(&list[i]); err != nil {
			return err
		}
	}
	for _, name := range all.names {
		d := all.byName[name]
		d.Encrypted, d.Layers = all.encryption(name)
		if err := o.Write(d); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// tree is the block devices by name.
type tree struct {
	names  []string
	byName map[string]*record.Storage
	byDev  map[string]string
}

func (t *tree) add(d *record.Storage) {
	t.names = append(t.names, d.Name)
	t.byName[d.Name], t.byDev[d.Dev] = d, d.Name
}

func newTree() *tree { return &tree{byName: map[string]*record.Storage{}, byDev: map[string]string{}} }

func devices(ctx context.Context, r facts.Root, o *facts.Out) (*tree, error) {
	t := newTree()
	names, err := r.List("sys/class/block", maxDevices)
	o.Miss(err)
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return t, err
		}
		t.add(device(r, name))
	}
	return t, nil
}

// device reads a folder of /sys/class/block (Documentation/ABI/stable/sysfs-block).
func device(r facts.Root, name string) *record.Storage {
	at := "sys/class/block/" + name + "/"
	value := func(file string) string {
		s, _ := record.TextOf(r.Value(at + file))
		return s
	}
	d := &record.Storage{
		Type: record.StorageDevice, Dev: value("dev"), ReadOnly: value("ro") == "1", Removable: value("removable") == "1",
		Model: value("device/model"), Vendor: value("device/vendor"), Serial: value("device/serial"),
		Mapper: value("dm/name"), MapperID: value("dm/uuid"), Backing: value("loop/backing_file"), Kind: "disk",
	}
	d.Name, d.NameRaw = record.TextOf(name)
	if n, err := strconv.ParseUint(value("size"), 10, 64); err == nil {
		d.Size = n * 512 // whatever the disk's own blocks are
	}
	d.Below, _ = r.List(at+"slaves", maxDevices)
	switch {
	case d.Mapper != "":
		d.Kind = "device-mapper"
	case d.Backing != "":
		d.Kind = "loop"
	case value("md/level") != "":
		d.Kind = "md"
	case value("partition") != "":
		d.Kind = "partition"
		if target, err := r.Readlink("sys/class/block/" + name); err == nil {
			d.PartOf = parentOf(target)
		}
	}
	return d
}

// mount makes the record of a mount.
func (t *tree) mount(m procfs.Mount) *record.Storage {
	s := &record.Storage{Type: record.StorageMount, ID: m.ID, Parent: m.Parent, Dev: fmt.Sprintf("%d:%d", m.Major, m.Minor)}
	s.Name, s.NameRaw = record.Text(m.Point)
	s.Root, _ = record.Text(m.Root)
	s.FSType, _ = record.Text(m.FSType)
	s.Source, s.SourceRaw = record.Text(m.Source)
	s.Propagation, _ = record.Text(m.Tags)
	s.Options, s.SuperOptions = options(m.Options), options(m.SuperOptions)
	s.Encrypted, s.Layers = t.ofMount(s)
	return s
}

func (t *tree) ofMount(s *record.Storage) (string, []string) {
	switch s.FSType {
	case "ecryptfs", "fuse.gocryptfs", "fuse.encfs", "fuse.cryfs", "fuse.securefs":
		return record.EncryptedYes, []string{s.FSType}
	case "zfs", "bcachefs":
		return record.EncryptedUnknown, nil
	}
	if name, ok := t.byDev[s.Dev]; ok {
		return t.encryption(name)
	}
	if name, ok := t.bySource(s.Source); ok { // btrfs and others have a device number of their own
		return t.encryption(name)
	}
	return "", nil
}

func (t *tree) swap(s *record.Storage) {
	if name, ok := t.bySource(s.Name); ok {
		s.Encrypted, s.Layers = t.encryption(name)
	} else {
		s.Encrypted = record.EncryptedUnknown // a file: look at the mount on which it lies
	}
}

// bySource finds a device by the name that a person or a program gave to mount(8).
func (t *tree) bySource(path string) (string, bool) {
	name, ok := cutDev(path)
	if !ok {
		return "", false
	}
	if _, ok := t.byName[name]; ok {
		return name, true
	}
	for _, n := range t.names {
		if m := t.byName[n].Mapper; m != "" && "mapper/"+m == name {
			return n, true
		}
	}
	return "", false
}

// encryption follows a device down to the disks.
func (t *tree) encryption(name string) (state string, layers []string) {
	return t.below(name, 0)
}

func (t *tree) below(name string, depth int) (state string, layers []string) {
	const deepest = 16 // nobody stacks so many; a circle cannot be made, but read
	d := t.byName[name]
	if d == nil || depth > deepest {
		return record.EncryptedUnknown, nil
	}
	if kind, ok := cryptKind(d.MapperID); ok {
		return record.EncryptedYes, []string{kind}
	}
	if d.Kind == "loop" {
		return record.EncryptedUnknown, nil // as its file, wherever that lies
	}
	if ramDisk(name) {
		return "", nil
	}
	under := d.Below
	if d.PartOf != "" {
		under = append(slices.Clone(under), d.PartOf)
	}
	if len(under) == 0 {
		if networked(name) {
			return record.EncryptedUnknown, nil
		}
		return record.EncryptedNo, nil
	}
	for i, u := range under {
		s, l := t.below(u, depth+1)
		for _, kind := range l {
			if !slices.Contains(layers, kind) {
				layers = append(layers, kind)
			}
		}
		switch {
		case i == 0 || s == state:
			state = s
		case s == record.EncryptedUnknown || state == record.EncryptedUnknown:
			state = record.EncryptedUnknown
		default:
			state = record.EncryptedPartly
		}
	}
	return state, layers
}
