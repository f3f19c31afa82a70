package profile

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact"
)

// Process is what is most volatile, and then the memory of one process, which the order names:
// see [ProcessName].
const Process = "process"

// OfProcess returns the profile [Process]. It is not among [All]: who orders it names a process
// of one PC. The two kinds of the dump come with the order.
func OfProcess() Profile {
	return Profile{Name: Process, Gentle: true, Usual: 10 * time.Second, UsualBytes: 50_000_000, Lines: []Line{
		{Kind: artifact.KindProcess, Budget: 2 * time.Second},
		{Kind: artifact.KindNetConn, Budget: 2 * time.Second},
		{Kind: artifact.KindOpenFile, Budget: 1500 * time.Millisecond},
		{Kind: artifact.KindProcMap, Budget: 15 * time.Second},
		{Kind: artifact.KindHostInfo, Budget: 500 * time.Millisecond},
		{Kind: artifact.KindClock, Budget: 250 * time.Millisecond},
		{Kind: artifact.KindFootprint, Budget: time.Second},
	}}
}

// ProcessName is how an order names the profile [Process] of one process: "process.4711", with
// its start_ticks in hexadecimal "process.4711.6621f0c0ffee1". An agent that does not know the profile refuses it as
// unknown. At most 32 bytes for every process that began before the year 2112.
func ProcessName(pid uint32, ticks uint64) string {
	name := Process + "." + strconv.FormatUint(uint64(pid), 10)
	if ticks != 0 {
		name += "." + strconv.FormatUint(ticks, 16)
	}
	return name
}

// ParseProcess reads what [ProcessName] makes, and nothing else.
func ParseProcess(name string) (pid uint32, ticks uint64, err error) {
	rest, ok := strings.CutPrefix(name, Process+".")
	number, began, _ := strings.Cut(rest, ".")
	n, nerr := strconv.ParseUint(number, 10, 32)
	if began != "" {
		ticks, err = strconv.ParseUint(began, 16, 64)
	}
	if !ok || nerr != nil || err != nil || n == 0 || ProcessName(uint32(n), ticks) != name {
		return 0, 0, fmt.Errorf("profile %.40q names no process", name)
	}
	return uint32(n), ticks, nil
}
