package hostinfo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// maxDisks bounds the mounts that are told; a container host has thousands.
const maxDisks = 4096

func read(ctx context.Context, root string) (*record.HostInfo, error) {
	h := &record.HostInfo{OS: runtime.GOOS, CPULogical: runtime.NumCPU()}
	var errs []error
	note := func(what string, err error) bool {
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", what, err))
		}
		return err == nil
	}
	file := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(root, name))
		if !errors.Is(err, fs.ErrNotExist) {
			note(name, err)
		}
		return bytes.TrimSpace(b)
	}
	var err error
	h.Hostname, err = os.Hostname()
	note("host name", err)
	var u unix.Utsname
	if note("kernel", unix.Uname(&u)) {
		h.KernelVersion, h.Arch = unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:])
	}
	h.HostID = string(file("etc/machine-id"))
	release := file("etc/os-release")
	if len(release) == 0 {
		release = file("usr/lib/os-release")
	}
	vars := parseOSRelease(release)
	h.Platform, h.PlatformVersion, h.PlatformFamily = vars["ID"], vars["VERSION_ID"], vars["ID_LIKE"]
	h.BootTime = parseBootTime(file("proc/stat"))
	h.KernelFlags, _ = record.Text(file("proc/cmdline"))
	var up unix.Timespec
	if note("uptime", unix.ClockGettime(unix.CLOCK_BOOTTIME, &up)) {
		h.UptimeSeconds = uint64(up.Sec)
	}
	hardware(h, file, note)
	disks(ctx, root, h, note)
	return h, errors.Join(errs...)
}

// hardware fills in processor and memory.
func hardware(h *record.HostInfo, file func(string) []byte, note func(string, error) bool) {
	c := procfs.ParseCPU(file("proc/cpuinfo"))
	h.CPUModel, _ = record.Text(c.Model)
	if c.Processors > 0 {
		h.CPULogical = c.Processors
	}
	product := strings.TrimSpace(string(file("sys/class/dmi/id/sys_vendor")) + " " + string(file("sys/class/dmi/id/product_name")))
	if c.Guest {
		h.Virtualization, _ = record.TextOf(strings.TrimSpace("guest " + product))
	}
	m := procfs.ParseMemory(file("proc/meminfo"))
	if m.Total == 0 {
		note("memory", errors.New("no total in meminfo"))
	}
	h.MemTotal, h.MemFree, h.SwapTotal, h.SwapFree = m.Total, m.Available, m.SwapTotal, m.SwapFree
}

// disks lists what is mounted and asks the local file systems for their room.
func disks(ctx context.Context, root string, h *record.HostInfo, note func(string, error) bool) {
	b, err := os.ReadFile(filepath.Join(root, "proc/1/mountinfo")) // the host's, should the agent have been given its own
	if err != nil {
		b, err = os.ReadFile(filepath.Join(root, "proc/self/mountinfo"))
	}
	note("mounts", err)
	for line := range bytes.Lines(b) {
		m, ok := procfs.ParseMount(line)
		fsType, _ := record.Text(m.FSType)
		if !ok {
			note("mounts", fmt.Errorf("odd line %.80q", line))
		}
		if !ok || pseudo(fsType) {
			continue
		}
		if len(h.Disks) == maxDisks || ctx.Err() != nil {
			note("mounts", errors.Join(ctx.Err(), fmt.Errorf("only the first %d are told", len(h.Disks))))
			return
		}
		options, _ := record.Text(m.Options)
		d := record.Disk{FSType: fsType, Options: strings.Split(options, ",")}
		if len(m.Root) > 0 && string(m.Root) != "/" {
			d.Options = append(d.Options, "bind")
		}
		d.Device, _ = record.Text(device(root, m))
		d.MountPoint, _ = record.Text(m.Point)
		var room unix.Statfs_t
		if local(fsType) && unix.Statfs(string(m.Point), &room) == nil { // one that is hidden under another mount answers for that one; its device tells
			d.Total, d.Free = room.Blocks*uint64(room.Bsize), room.Bavail*uint64(room.Bsize)
		}
		h.Disks = append(h.Disks, d)
	}
}

// device names a mount's device as the kernel does where the source is another name
// for it.
func device(root string, m procfs.Mount) []byte {
	if string(m.Source) != "/dev/root" && !bytes.HasPrefix(m.Source, []byte("/dev/mapper/")) {
		return m.Source
	}
	target, err := os.Readlink(filepath.Join(root, fmt.Sprintf("sys/dev/block/%d:%d", m.Major, m.Minor)))
	if err != nil {
		return m.Source
	}
	return []byte("/dev/" + filepath.Base(target))
}
