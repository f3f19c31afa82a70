// Package winwatch reads for the flight recorder what runs and is connected on Windows, by
// looking at the system's tables from time to time. It knows nothing of rings, nor of
// system calls: it is given their answers.
//
// Windows tells starts and ends of processes to whoever traces the kernel, which costs
// more than a recorder may. What lives shorter than two looks is not on record, and the
// recorder says so.
package winwatch

import (
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
)

// System is what Windows is asked for; winsys.System is one.
type System interface {
	Processes() (winbytes.Answer, error)
	Process(pid int, created int64) (winscan.Told, error)
	Sockets(t winbytes.Table) ([]byte, error)
}
