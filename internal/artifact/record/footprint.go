package record

import "time"

// SchemaFootprint is what an acquisition cost the endpoint.
const SchemaFootprint = "hozen.footprint/1"

// Footprint is what the acquisition itself did on the endpoint up to its last probe:
// sealing and sending are not in it. An agent that runs as a service does other things
// meanwhile, such as recording; they are counted with it.
type Footprint struct {
	PID        int       `json:"pid"` // of the agent
	StartedAt  time.Time `json:"started_at"`
	FinishedAt time.Time `json:"finished_at"`
	UserNS     int64     `json:"user_ns"`   // CPU time, getrusage(2)
	SystemNS   int64     `json:"system_ns"` //
	// MaxRSSBytes is the most memory that the agent had resident since it was started,
	// RSSBytes what it has now.
	MaxRSSBytes int64 `json:"max_rss_bytes,omitempty"`
	RSSBytes    int64 `json:"rss_bytes,omitempty"`
	// Of proc_pid_io(5): bytes and calls of reading and writing, /proc included; and bytes
	// that the disk really moved.
	ReadChars  int64 `json:"read_chars,omitempty"`
	WriteChars int64 `json:"write_chars,omitempty"`
	ReadCalls  int64 `json:"read_calls,omitempty"`
	WriteCalls int64 `json:"write_calls,omitempty"`
	DiskReads  int64 `json:"disk_read_bytes,omitempty"`
	DiskWrites int64 `json:"disk_write_bytes,omitempty"`
	// FilesOpened is how many files and folders were opened, those of /proc and /sys included;
	// some fixed ones of the system are not counted. Linux alone.
	FilesOpened int64 `json:"files_opened,omitempty"`
	// MinorFaults and MajorFaults are page faults, without and with the disk; Switches how
	// often somebody else got the processor.
	MinorFaults int64 `json:"minor_faults,omitempty"`
	MajorFaults int64 `json:"major_faults,omitempty"`
	Switches    int64 `json:"involuntary_switches,omitempty"`
	// Gentle says that all but processes and sockets were read with lowered priority;
	// Niceness and IOClass are that of the thread that wrote this line.
	Gentle   bool   `json:"gentle,omitempty"`
	Niceness int    `json:"niceness"`
	IOClass  string `json:"io_class,omitempty"` // none, realtime, best_effort, idle
	// MemoryLimit is the limit of the agent's memory, its code apart; absent when there is none.
	MemoryLimit int64 `json:"memory_limit_bytes,omitempty"`
	// ScopeBy says whose privacy scope was in force: default, file (the PC's own), organisation,
	// or both; ScopePrivate and ScopeHistories what it let be read. Absent where nobody says.
	ScopeBy        string `json:"scope_by,omitempty"`
	ScopePrivate   bool   `json:"scope_private,omitempty"`
	ScopeHistories bool   `json:"scope_histories,omitempty"`
	// Spool says how evidence waits on the endpoint: age (encrypted) or clear; SpoolKeys are the
	// SHA-256 of the texts of the public keys that it is encrypted to.
	Spool     string   `json:"spool,omitempty"`
	SpoolKeys []string `json:"spool_keys,omitempty"`
	Unread    []string `json:"unread,omitempty"`
}

// AppendJSON appends f as one JSON object.
func (f *Footprint) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", f.PID)
	b = when(b, "started_at", f.StartedAt)
	b = when(b, "finished_at", f.FinishedAt)
	b = numAlways(b, "user_ns", f.UserNS)
	b = numAlways(b, "system_ns", f.SystemNS)
	b = num(b, "max_rss_bytes", f.MaxRSSBytes)
	b = num(b, "rss_bytes", f.RSSBytes)
	b = num(b, "read_chars", f.ReadChars)
	b = num(b, "write_chars", f.WriteChars)
	b = num(b, "read_calls", f.ReadCalls)
	b = num(b, "write_calls", f.WriteCalls)
	b = num(b, "disk_read_bytes", f.DiskReads)
	b = num(b, "disk_write_bytes", f.DiskWrites)
	b = num(b, "files_opened", f.FilesOpened)
	b = num(b, "minor_faults", f.MinorFaults)
	b = num(b, "major_faults", f.MajorFaults)
	b = num(b, "involuntary_switches", f.Switches)
	b = flag(b, "gentle", f.Gentle)
	b = numAlways(b, "niceness", f.Niceness)
	b = str(b, "io_class", f.IOClass)
	b = num(b, "memory_limit_bytes", f.MemoryLimit)
	b = str(b, "scope_by", f.ScopeBy)
	b = flag(b, "scope_private", f.ScopePrivate)
	b = flag(b, "scope_histories", f.ScopeHistories)
	b = str(b, "spool", f.Spool)
	b = strs(b, "spool_keys", f.SpoolKeys)
	return append(strs(b, "unread", f.Unread), '}')
}
