package hostinfo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"time"

	"github.com/shirou/gopsutil/v3/disk"
	"github.com/shirou/gopsutil/v3/host"
	"github.com/shirou/gopsutil/v3/mem"

	"hozen/internal/artifact/record"
)

// read asks the registry and system calls. The processor's name is left out: gopsutil
// asks the management service for it, which can hang.
func read(ctx context.Context, _ string) (*record.HostInfo, error) {
	h := &record.HostInfo{OS: runtime.GOOS, CPULogical: runtime.NumCPU()}
	var errs []error
	note := func(what string, err error) bool {
		if err != nil {
			errs = append(errs, fmt.Errorf("read %s: %w", what, err))
		}
		return err == nil
	}
	var err error
	h.Hostname, err = os.Hostname()
	note("host name", err)
	if i, err := host.InfoWithContext(ctx); note("system", err) {
		h.HostID, h.Arch, h.KernelVersion = i.HostID, i.KernelArch, i.KernelVersion
		h.Platform, h.PlatformFamily, h.PlatformVersion = i.Platform, i.PlatformFamily, i.PlatformVersion
		h.UptimeSeconds, h.BootTime = i.Uptime, time.Unix(int64(i.BootTime), 0).UTC()
	}
	if m, err := mem.VirtualMemoryWithContext(ctx); note("memory", err) {
		h.MemTotal, h.MemFree = m.Total, m.Available
	}
	if s, err := mem.SwapMemoryWithContext(ctx); note("swap", err) {
		h.SwapTotal, h.SwapFree = s.Total, s.Free
	}
	parts, err := disk.PartitionsWithContext(ctx, false)
	note("disks", err)
	for _, p := range parts {
		d := record.Disk{Device: p.Device, MountPoint: p.Mountpoint, FSType: p.Fstype, Options: p.Opts}
		if u, err := disk.UsageWithContext(ctx, p.Mountpoint); note("free space", err) {
			d.Total, d.Free = u.Total, u.Free
		}
		h.Disks = append(h.Disks, d)
	}
	return h, errors.Join(errs...)
}
