package security

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winsys"
)

const system = "windows"

// here asks the service control manager and the registry. The security center is not asked: it
// is a service that answers programs of people only.
func here(ctx context.Context, _ string, pass *scan.Pass, o *facts.Out) error {
	procs, err := pass.Processes(ctx) // what is missing of them is told by their own probe
	if len(procs) == 0 && err != nil {
		return err
	}
	all, err := winsys.System{}.Services()
	o.Miss(err)
	var services []winService
	for _, s := range all {
		x := winService{name: windows.UTF16ToString(s.Name), running: s.State == windows.SERVICE_RUNNING, pid: int(s.PID)}
		starts := [...]string{"boot", "system", "auto", "demand", "disabled"}
		if s.ConfigErr == nil && s.Start < uint32(len(starts)) {
			x.start = starts[s.Start]
		}
		services = append(services, x)
	}
	for _, t := range ofWindows(services, values, procs, o) {
		if err := o.Write(t); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// values reads a key of HKLM: its values as text, by their names in small letters.
func values(key string) (map[string]string, error) {
	list, _, err := winsys.Registry{}.Values("HKLM", key)
	m := make(map[string]string, len(list))
	for _, v := range list {
		const regBinary, dword = 3, 4 // REG_BINARY, REG_DWORD
		if at := fileTime(v.Data); v.Kind == regBinary && at != "" {
			m[strings.ToLower(v.Name)] = at
			continue
		}
		if v.Kind == dword && len(v.Data) == 4 {
			m[strings.ToLower(v.Name)] = strconv.FormatUint(uint64(binary.LittleEndian.Uint32(v.Data)), 10)
			continue
		}
		text, _ := winbytes.Text(v.Data)
		m[strings.ToLower(v.Name)] = strings.TrimRight(text, "\x00")
	}
	return m, err
}
