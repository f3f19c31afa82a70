// Package footprint is the probe of what an acquisition itself did on the endpoint: the
// time of the processor, the memory, the bytes read and written. It knows nothing of the
// probes whose work it counts.
//
// What evidence: one line. An expert must be able to tell the traces of the capture from
// those of an attacker, and how much the capture disturbed.
//
// Source of truth: Linux: getrusage(2), /proc/self/{io,status}, getpriority(2),
// ioprio_get(2). Windows: GetProcessTimes,
// GetProcessIoCounters, GetProcessMemoryInfo.
//
// Privileges: none.
//
// Footprint: reads of two files of its own process.
//
// Volatility: Closing: the last of all.
//
// Blind spots: what the agent does as a service meanwhile (recording, sending) is counted
// with it; sealing and sending come afterwards. The greatest memory is that since the
// agent was started.
package footprint
