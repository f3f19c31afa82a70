package record

import "time"

// The schemas of what the profile ransom adds.
const (
	SchemaProcIO   = "hozen.procio/1"
	SchemaFileStat = "hozen.filestat/1"
)

// ProcIO is what a process read and wrote (proc_pid_io(5)): since it started, and in the
// interval between two looks.
type ProcIO struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
	Comm       string `json:"comm"`
	UID        int64  `json:"uid"`
	ReadChars  uint64 `json:"read_chars"`
	WriteChars uint64 `json:"write_chars"`
	ReadBytes  uint64 `json:"read_bytes"`  // from disks
	WriteBytes uint64 `json:"write_bytes"` // to disks
	Cancelled  uint64 `json:"cancelled_write_bytes"`
	// IntervalNS is 0 where the process was not there at the first look.
	IntervalNS    int64  `json:"interval_ns"`
	ReadCharsNow  uint64 `json:"read_chars_now"`
	WriteCharsNow uint64 `json:"write_chars_now"`
	ReadBytesNow  uint64 `json:"read_bytes_now"`
	WriteBytesNow uint64 `json:"write_bytes_now"`
}

// AppendJSON appends p as one JSON object.
func (p *ProcIO) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", p.PID)
	b = unumAlways(b, "start_ticks", p.StartTicks)
	b = strAlways(b, "comm", p.Comm)
	b = numAlways(b, "uid", p.UID)
	b = unumAlways(b, "read_chars", p.ReadChars)
	b = unumAlways(b, "write_chars", p.WriteChars)
	b = unumAlways(b, "read_bytes", p.ReadBytes)
	b = unumAlways(b, "write_bytes", p.WriteBytes)
	b = unumAlways(b, "cancelled_write_bytes", p.Cancelled)
	b = numAlways(b, "interval_ns", p.IntervalNS)
	b = unumAlways(b, "read_chars_now", p.ReadCharsNow)
	b = unumAlways(b, "write_chars_now", p.WriteCharsNow)
	b = unumAlways(b, "read_bytes_now", p.ReadBytesNow)
	return append(unumAlways(b, "write_bytes_now", p.WriteBytesNow), '}')
}

// The values of Type of the lines of hozen.filestat.
const (
	FileStatTree      = "tree"      // all files below a folder
	FileStatExtension = "extension" // all files with one extension
	FileStatFolder    = "folder"    // the files in one of the folders in which most changed
	FileStatHour      = "hour"      // files that changed in one hour
	FileStatName      = "name"      // a name that may be a demand for ransom
)

// FileStat counts files and how many of them changed lately.
type FileStat struct {
	Type string `json:"type"`
	// Name is a path, an extension with its dot in lower case (empty: none; "*": of those
	// that are too many to be told apart), the hour's beginning, or the name of a file.
	Name    string `json:"name"`
	NameRaw []byte `json:"name_b64,omitempty"`
	Files   int64  `json:"files"`
	Bytes   int64  `json:"bytes"`
	// Modified counts files whose content was written, and Changed those whose entry was changed, renaming
	// among it: in the last hour, day and week before the look.
	ModifiedHour int64 `json:"modified_1h"`
	ModifiedDay  int64 `json:"modified_24h"`
	ModifiedWeek int64 `json:"modified_7d"`
	ChangedHour  int64 `json:"changed_1h"`
	ChangedDay   int64 `json:"changed_24h"`
	ChangedWeek  int64 `json:"changed_7d"`
	// Doubled counts names with another known extension before their own, such as
	// report.docx.locked, and RenamedDay those of the last day that changed without being written.
	Doubled    int64 `json:"doubled"`
	RenamedDay int64 `json:"renamed_24h"`
	// Newest is the latest of all times of these files that is not in the future.
	Newest time.Time `json:"newest_at,omitzero"`
	// Example is one of the paths, where that is of use.
	Example    string `json:"example,omitempty"`
	ExampleRaw []byte `json:"example_b64,omitempty"`
	// Unread and Ended are of a tree: folders that could not be read, and why not all was looked at:
	// time, too_many.
	Unread int64  `json:"unread,omitempty"`
	Ended  string `json:"ended,omitempty"`
}

// AppendJSON appends s as one JSON object.
func (s *FileStat) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", s.Type)
	b = strAlways(b, "name", s.Name)
	b = b64(b, "name_b64", s.NameRaw)
	b = numAlways(b, "files", s.Files)
	b = numAlways(b, "bytes", s.Bytes)
	b = numAlways(b, "modified_1h", s.ModifiedHour)
	b = numAlways(b, "modified_24h", s.ModifiedDay)
	b = numAlways(b, "modified_7d", s.ModifiedWeek)
	b = numAlways(b, "changed_1h", s.ChangedHour)
	b = numAlways(b, "changed_24h", s.ChangedDay)
	b = numAlways(b, "changed_7d", s.ChangedWeek)
	b = numAlways(b, "doubled", s.Doubled)
	b = numAlways(b, "renamed_24h", s.RenamedDay)
	b = when(b, "newest_at", s.Newest)
	b = str(b, "example", s.Example)
	b = b64(b, "example_b64", s.ExampleRaw)
	b = num(b, "unread", s.Unread)
	return append(str(b, "ended", s.Ended), '}')
}
