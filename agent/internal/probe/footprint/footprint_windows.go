package footprint

import (
	"fmt"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

// use asks what this process did so far.
func use(f *record.Footprint) error {
	var c, e, k, u windows.Filetime
	if err := windows.GetProcessTimes(windows.CurrentProcess(), &c, &e, &k, &u); err != nil {
		return fmt.Errorf("GetProcessTimes: %w", err)
	}
	ns := func(t windows.Filetime) int64 { return (int64(t.HighDateTime)<<32 | int64(t.LowDateTime)) * 100 }
	f.UserNS, f.SystemNS = ns(u), ns(k)
	own, err := winsys.OwnUse()
	if err != nil {
		f.Unread = append(f.Unread, "io", "memory")
		return nil
	}
	f.ReadCalls, f.WriteCalls, f.ReadChars, f.WriteChars = own.Reads, own.Writes, own.ReadBytes, own.WrittenBytes
	f.RSSBytes, f.MaxRSSBytes = own.WorkingSet, own.PeakWorkingSet
	return nil
}
