package clock

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

func read(root string) (*record.Clock, error) {
	c := new(record.Clock)
	var mono, boot unix.Timespec
	errMono := unix.ClockGettime(unix.CLOCK_MONOTONIC, &mono)
	errBoot := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot)
	now := time.Now()
	c.Wall, c.MonotonicNS, c.BootNS = now.Round(0).UTC(), mono.Nano(), boot.Nano()
	c.ZoneAbbrev, c.UTCOffset = now.Zone()
	link, _ := os.Readlink(filepath.Join(root, "etc/localtime")) // without it, UTC (localtime(5))
	c.Zone = zoneOf(link)
	c.BootID = small(root, "proc/sys/kernel/random/boot_id")
	c.Source = small(root, "sys/devices/system/clocksource/clocksource0/current_clocksource")
	if n, err := strconv.ParseInt(small(root, "sys/class/rtc/rtc0/since_epoch"), 10, 64); err == nil {
		c.RTC = time.Unix(n, 0).UTC()
	}
	return c, errors.Join(clockErr("monotonic", errMono), clockErr("boot", errBoot), kernelOpinion(c))
}

func clockErr(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("read %s clock: %w", name, err)
}

// small reads a file of one line; "" when there is none.
func small(root, name string) string {
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return ""
	}
	text, _ := record.Text(bytes.TrimSpace(b))
	return text
}

// kernelOpinion asks adjtimex(2) and changes nothing.
func kernelOpinion(c *record.Clock) error {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		return fmt.Errorf("read state of the kernel's clock: %w", err)
	}
	const (
		unsynchronised = 0x40   // STA_UNSYNC
		nanoseconds    = 0x2000 // STA_NANO
		stateError     = 5      // TIME_ERROR
	)
	n := &c.NTP
	n.State = "synchronised"
	if t.Status&unsynchronised != 0 || state == stateError {
		n.State = "unsynchronised"
	}
	n.OffsetNS = int64(t.Offset)
	if t.Status&nanoseconds == 0 {
		n.OffsetNS *= 1000
	}
	n.MaxErrorUS, n.EstErrorUS, n.Status = int64(t.Maxerror), int64(t.Esterror), uint32(t.Status)
	n.FreqPPB = int64(t.Freq) * 1000 / (1 << 16) // from 2⁻¹⁶ parts in 10⁶
	if state >= 1 && state <= 4 {
		n.Leap = [...]string{"insert", "delete", "in progress", "waited"}[state-1]
	}
	c.TAIOffset = t.Tai
	return nil
}
