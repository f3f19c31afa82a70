package procfs

import "bytes"

// Memory is what is used of /proc/meminfo (proc_meminfo(5)), in bytes.
type Memory struct{ Total, Available, SwapTotal, SwapFree uint64 }

// ParseMemory reads /proc/meminfo; lines that are missing leave 0.
func ParseMemory(b []byte) (m Memory) {
	for line := range bytes.Lines(b) {
		name, rest, _ := bytes.Cut(line, []byte(":"))
		w, _ := word(rest)
		v, neg, ok := number(w)
		if !ok || neg || v > 1<<50 {
			continue
		}
		switch v *= 1024; string(name) { // the file's kB are KiB
		case "MemTotal":
			m.Total = v
		case "MemAvailable":
			m.Available = v
		case "SwapTotal":
			m.SwapTotal = v
		case "SwapFree":
			m.SwapFree = v
		}
	}
	return m
}

// CPU is what is used of /proc/cpuinfo (proc_cpuinfo(5)).
type CPU struct {
	Model      []byte // of the first processor; on ARM "implementer 0x41 part 0xd0c"; aliases the input or not
	Processors int
	Guest      bool // the processor says that a hypervisor is below it
}

// ParseCPU reads /proc/cpuinfo, whose lines differ from one architecture to the next.
func ParseCPU(b []byte) (c CPU) {
	var implementer, part []byte
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		if !ok {
			continue
		}
		switch string(bytes.TrimSpace(name)) {
		case "processor":
			c.Processors++
		case "model name", "Model Name", "cpu":
			if len(c.Model) == 0 {
				c.Model = value
			}
		case "CPU implementer":
			implementer = value
		case "CPU part":
			part = value
		case "flags":
			c.Guest = c.Guest || bytes.Contains(append(append([]byte(" "), value...), ' '), []byte(" hypervisor "))
		}
	}
	if len(c.Model) == 0 && len(part) > 0 {
		c.Model = []byte("implementer " + string(implementer) + " part " + string(part))
	}
	return c
}
