package record

import "time"

// HostInfo is what the endpoint says of itself. An artifact has one line of it.
type HostInfo struct {
	Hostname        string    `json:"hostname,omitempty"`
	HostID          string    `json:"host_id,omitempty"` // /etc/machine-id or the SMBIOS UUID; MachineGuid on Windows
	OS              string    `json:"os"`                // GOOS
	Arch            string    `json:"arch,omitempty"`    // as the kernel says it, such as x86_64
	Platform        string    `json:"platform,omitempty"`
	PlatformFamily  string    `json:"platform_family,omitempty"`
	PlatformVersion string    `json:"platform_version,omitempty"`
	KernelVersion   string    `json:"kernel_version,omitempty"`
	Virtualization  string    `json:"virtualization,omitempty"` // such as "kvm guest"
	BootTime        time.Time `json:"boot_time,omitzero"`       // derived by the kernel from its wall clock
	UptimeSeconds   uint64    `json:"uptime_s,omitempty"`

	CPUModel    string `json:"cpu_model,omitempty"`
	CPULogical  int    `json:"cpu_logical,omitempty"`
	MemTotal    uint64 `json:"mem_total,omitempty"` // bytes, like all sizes here
	MemFree     uint64 `json:"mem_available,omitempty"`
	SwapTotal   uint64 `json:"swap_total,omitempty"`
	SwapFree    uint64 `json:"swap_free,omitempty"`
	KernelFlags string `json:"kernel_cmdline,omitempty"` // what the boot loader handed over
	Disks       []Disk `json:"disks,omitempty"`
}

// Disk is one mounted file system.
type Disk struct {
	Device     string   `json:"device,omitempty"`
	MountPoint string   `json:"mount_point"`
	FSType     string   `json:"fs_type,omitempty"`
	Options    []string `json:"options,omitempty"`
	// Total and Free are bytes; both 0 for file systems that are not asked because the
	// answer could hang (network and user-space file systems).
	Total uint64 `json:"total,omitempty"`
	Free  uint64 `json:"free,omitempty"`
}

// AppendJSON appends h as one JSON object.
func (h *HostInfo) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = str(b, "hostname", h.Hostname)
	b = str(b, "host_id", h.HostID)
	b = strAlways(b, "os", h.OS)
	b = str(b, "arch", h.Arch)
	b = str(b, "platform", h.Platform)
	b = str(b, "platform_family", h.PlatformFamily)
	b = str(b, "platform_version", h.PlatformVersion)
	b = str(b, "kernel_version", h.KernelVersion)
	b = str(b, "virtualization", h.Virtualization)
	b = when(b, "boot_time", h.BootTime)
	b = unum(b, "uptime_s", h.UptimeSeconds)
	b = str(b, "cpu_model", h.CPUModel)
	b = num(b, "cpu_logical", h.CPULogical)
	b = unum(b, "mem_total", h.MemTotal)
	b = unum(b, "mem_available", h.MemFree)
	b = unum(b, "swap_total", h.SwapTotal)
	b = unum(b, "swap_free", h.SwapFree)
	b = str(b, "kernel_cmdline", h.KernelFlags)
	if len(h.Disks) > 0 {
		b = append(key(b, "disks"), '[')
		for i := range h.Disks {
			if i > 0 {
				b = append(b, ',')
			}
			d := &h.Disks[i]
			b = append(b, '{')
			b = str(b, "device", d.Device)
			b = strAlways(b, "mount_point", d.MountPoint)
			b = str(b, "fs_type", d.FSType)
			b = strs(b, "options", d.Options)
			b = unum(b, "total", d.Total)
			b = unum(b, "free", d.Free)
			b = append(b, '}')
		}
		b = append(b, ']')
	}
	return append(b, '}')
}

// Clock is all clocks of the endpoint, read one after the other within microseconds.
// An artifact has one line of it.
type Clock struct {
	Wall        time.Time `json:"wall"` // CLOCK_REALTIME, as it was, never corrected
	MonotonicNS int64     `json:"monotonic_ns"`
	BootNS      int64     `json:"boot_ns"`                // nanoseconds since boot, sleep included
	Zone        string    `json:"zone,omitempty"`         // such as Asia/Tokyo
	ZoneAbbrev  string    `json:"zone_abbrev,omitempty"`  // such as JST
	UTCOffset   int       `json:"utc_offset_s"`           // seconds east of UTC
	BootID      string    `json:"boot_id,omitempty"`      //
	Source      string    `json:"clock_source,omitempty"` // the hardware that counts, such as tsc
	RTC         time.Time `json:"rtc,omitzero"`           // the battery clock, whole seconds, read as if it were UTC
	NTP         NTPState  `json:"ntp,omitzero"`           // as adjtimex(2) tells it
	TAIOffset   int32     `json:"tai_offset_s,omitempty"` //
}

// NTPState is the kernel's idea of how good its clock is.
type NTPState struct {
	// State is "synchronised", "unsynchronised" or, when it could not be asked, absent.
	State      string `json:"state,omitempty"`
	OffsetNS   int64  `json:"offset_ns,omitempty"` // what is still to be corrected
	MaxErrorUS int64  `json:"max_error_us,omitempty"`
	EstErrorUS int64  `json:"est_error_us,omitempty"`
	FreqPPB    int64  `json:"freq_ppb,omitempty"` // correction of the clock's speed, parts in 10⁹
	Status     uint32 `json:"status,omitempty"`   // the STA_ bits of timex.h
	Leap       string `json:"leap,omitempty"`     // insert, delete, in progress, waited
}

// AppendJSON appends c as one JSON object.
func (c *Clock) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	if b = when(b, "wall", c.Wall); b[len(b)-1] == '{' {
		b = append(b, `"wall":"0001-01-01T00:00:00Z"`...)
	}
	b = numAlways(b, "monotonic_ns", c.MonotonicNS)
	b = numAlways(b, "boot_ns", c.BootNS)
	b = str(b, "zone", c.Zone)
	b = str(b, "zone_abbrev", c.ZoneAbbrev)
	b = numAlways(b, "utc_offset_s", c.UTCOffset)
	b = str(b, "boot_id", c.BootID)
	b = str(b, "clock_source", c.Source)
	b = when(b, "rtc", c.RTC)
	if c.NTP != (NTPState{}) {
		n := &c.NTP
		b = append(key(b, "ntp"), '{')
		b = str(b, "state", n.State)
		b = num(b, "offset_ns", n.OffsetNS)
		b = num(b, "max_error_us", n.MaxErrorUS)
		b = num(b, "est_error_us", n.EstErrorUS)
		b = num(b, "freq_ppb", n.FreqPPB)
		b = unum(b, "status", n.Status)
		b = str(b, "leap", n.Leap)
		b = append(b, '}')
	}
	b = num(b, "tai_offset_s", c.TAIOffset)
	return append(b, '}')
}
