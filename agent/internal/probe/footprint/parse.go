package footprint

import (
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// parseIO reads /proc/PID/io (proc_pid_io(5)).
func parseIO(f *record.Footprint, b []byte) {
	for name, v := range procfs.Fields(b) {
		n, ok := procfs.Number(v)
		if !ok || n > 1<<62 {
			continue
		}
		switch string(name) {
		case "rchar":
			f.ReadChars = int64(n)
		case "wchar":
			f.WriteChars = int64(n)
		case "syscr":
			f.ReadCalls = int64(n)
		case "syscw":
			f.WriteCalls = int64(n)
		case "read_bytes":
			f.DiskReads = int64(n)
		case "write_bytes":
			f.DiskWrites = int64(n)
		}
	}
}

// parseMemory reads the sizes of /proc/PID/status (proc_pid_status(5)).
func parseMemory(f *record.Footprint, b []byte) {
	for name, v := range procfs.Fields(b) {
		w, _ := procfs.Word(v)
		n, ok := procfs.Number(w)
		if !ok || n > 1<<50 {
			continue
		}
		switch string(name) { // in kB, which are 1,024 bytes
		case "VmHWM":
			f.MaxRSSBytes = int64(n) << 10
		case "VmRSS":
			f.RSSBytes = int64(n) << 10
		}
	}
}
