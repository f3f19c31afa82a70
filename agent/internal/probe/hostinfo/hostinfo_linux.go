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

	"github.com/shirou/gopsutil/v3/common"
	"github.com/shirou/gopsutil/v3/cpu"
	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/mem"
	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

// maxDisks bounds the mounts that are told; a container host has thousands.
const maxDisks = 4096

// roots tells gopsutil where to read, so that HOST_PROC and its like in the
// environment of the agent cannot lead it elsewhere.
func roots(ctx context.Context, root string) context.Context {
	at := func(name string) string { return filepath.Join(root, name) }
	mounts := at("proc/1/mountinfo") // the host's, should the agent have been given its own
	if f, err := os.Open(mounts); err == nil {
		f.Close()
	} else {
		mounts = at("proc/self/mountinfo")
	}
	return context.WithValue(ctx, common.EnvKey, common.EnvMap{
		common.HostProcEnvKey: at("proc"), common.HostSysEnvKey: at("sys"), common.HostEtcEnvKey: at("etc"),
		common.HostVarEnvKey: at("var"), common.HostRunEnvKey: at("run"), common.HostDevEnvKey: at("dev"),
		common.HostRootEnvKey: root, "HOST_PROC_MOUNTINFO": mounts,
	})
}

func read(ctx context.Context, root string) (*record.HostInfo, error) {
	ctx = roots(ctx, root)
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
	hardware(ctx, h, file, note)
	disks(ctx, h, note)
	return h, errors.Join(errs...)
}

// hardware fills in processor and memory.
func hardware(ctx context.Context, h *record.HostInfo, file func(string) []byte, note func(string, error) bool) {
	guest := false
	if c, err := cpu.InfoWithContext(ctx); note("processor", err) && len(c) > 0 {
		h.CPUModel, h.CPULogical = c[0].ModelName, len(c)
		for _, f := range c[0].Flags {
			guest = guest || f == "hypervisor"
		}
	}
	product := strings.TrimSpace(string(file("sys/class/dmi/id/sys_vendor")) + " " + string(file("sys/class/dmi/id/product_name")))
	if guest {
		h.Virtualization, _ = record.TextOf(strings.TrimSpace("guest " + product))
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); note("memory", err) {
		h.MemTotal, h.MemFree = m.Total, m.Available
	}
	if s, err := mem.SwapMemoryWithContext(ctx); note("swap", err) {
		h.SwapTotal, h.SwapFree = s.Total, s.Free
	}
}

// disks lists what is mounted and asks the local file systems for their room.
func disks(ctx context.Context, h *record.HostInfo, note func(string, error) bool) {
	parts, err := disk.PartitionsWithContext(ctx, true)
	note("mounts", err)
	for _, p := range parts {
		if pseudo(p.Fstype) {
			continue
		}
		if len(h.Disks) == maxDisks || ctx.Err() != nil {
			note("mounts", errors.Join(ctx.Err(), fmt.Errorf("only the first %d are told", len(h.Disks))))
			return
		}
		d := record.Disk{FSType: p.Fstype, Options: p.Opts}
		d.Device, _ = record.TextOf(p.Device)
		d.MountPoint, _ = record.TextOf(p.Mountpoint)
		if local(p.Fstype) { // one that is hidden under another mount answers for that one; its device tells
			if u, err := disk.UsageWithContext(ctx, p.Mountpoint); err == nil {
				d.Total, d.Free = u.Total, u.Free
			}
		}
		h.Disks = append(h.Disks, d)
	}
}
