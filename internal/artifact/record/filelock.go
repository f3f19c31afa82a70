package record

// SchemaFileLock is the locks on files.
const SchemaFileLock = "hozen.filelock/1"

// FileLock is one lock that a process holds or waits for (proc_locks(5)).
type FileLock struct {
	ID      int    `json:"id"`                // of the lock; one that waits has that of the lock it waits for
	Waiting bool   `json:"waiting,omitempty"` // for the lock of the same ID
	Class   string `json:"class"`             // POSIX, OFDLCK, FLOCK, LEASE, DELEG, …
	Mode    string `json:"mode"`              // ADVISORY, MANDATORY; of leases their state
	Access  string `json:"access"`            // READ, WRITE, …
	PID     int    `json:"pid"`               // -1 when the lock belongs to an open file and not to a process
	// StartTicks and Comm are of the process; absent when it was not found.
	StartTicks uint64 `json:"start_ticks,omitempty"`
	Comm       string `json:"comm,omitempty"`
	Dev        string `json:"dev"` // "major:minor" in hexadecimal
	Inode      uint64 `json:"inode"`
	Start      uint64 `json:"start"` // first byte
	End        int64  `json:"end"`   // last byte; -1 for the end of the file
	// Path is where a descriptor of the process leads that is this file. Absent when none
	// was found.
	Path    string `json:"path,omitempty"`
	PathRaw []byte `json:"path_b64,omitempty"`
}

// AppendJSON appends l as one JSON object.
func (l *FileLock) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "id", l.ID)
	b = flag(b, "waiting", l.Waiting)
	b = strAlways(b, "class", l.Class)
	b = strAlways(b, "mode", l.Mode)
	b = strAlways(b, "access", l.Access)
	b = numAlways(b, "pid", l.PID)
	b = unum(b, "start_ticks", l.StartTicks)
	b = str(b, "comm", l.Comm)
	b = strAlways(b, "dev", l.Dev)
	b = unumAlways(b, "inode", l.Inode)
	b = unumAlways(b, "start", l.Start)
	b = numAlways(b, "end", l.End)
	b = str(b, "path", l.Path)
	return append(b64(b, "path_b64", l.PathRaw), '}')
}
