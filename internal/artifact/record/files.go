package record

import "time"

// OpenFiles is the open descriptors of one process.
type OpenFiles struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"` // with PID, the identity of the process (see [Process])
	Comm       string `json:"comm,omitempty"`
	FDs        []FD   `json:"fds"`
	// Cut says that there were more descriptors than were read.
	Cut bool `json:"cut,omitempty"`
}

// FD is one descriptor.
type FD struct {
	FD int `json:"fd"`
	// Target is what the kernel says it refers to: a path (with " (deleted)" behind it
	// when the name is gone), "socket:[inode]", "pipe:[inode]", "anon_inode:…" or
	// "/memfd:name (deleted)". Empty when the system would not tell. The file itself
	// is not read.
	Target    string `json:"target"`
	TargetRaw []byte `json:"target_b64,omitempty"`
	// Kind is the type of a handle of Windows, such as File, Key, Mutant or Section, and
	// Access what it allows, hexadecimal (ACCESS_MASK). FD is then the handle's value.
	Kind   string `json:"kind,omitempty"`
	Access string `json:"access,omitempty"`
	// Silent says that the system did not answer in time for what it refers to.
	Silent bool `json:"silent,omitempty"`
}

// AppendJSON appends o as one JSON object.
func (o *OpenFiles) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = numAlways(b, "pid", o.PID)
	b = unumAlways(b, "start_ticks", o.StartTicks)
	b = str(b, "comm", o.Comm)
	b = append(key(b, "fds"), '[')
	for i := range o.FDs {
		if i > 0 {
			b = append(b, ',')
		}
		f := &o.FDs[i]
		b = append(b, '{')
		b = numAlways(b, "fd", f.FD)
		b = strAlways(b, "target", f.Target)
		b = b64(b, "target_b64", f.TargetRaw)
		b = str(b, "kind", f.Kind)
		b = str(b, "access", f.Access)
		b = append(flag(b, "silent", f.Silent), '}')
	}
	b = append(b, ']')
	b = flag(b, "cut", o.Cut)
	return append(b, '}')
}

// ExeHash is one executable file that processes run, read through /proc/PID/exe, so
// that a deleted file and one that never was on a disk are hashed too.
type ExeHash struct {
	Path    string    `json:"path,omitempty"` // as the first of Processes sees it, without the mark " (deleted)"
	PathRaw []byte    `json:"path_b64,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	MemFD   bool      `json:"memfd,omitempty"`
	Dev     uint64    `json:"dev,omitempty"` // st_dev as stat(2) gives it
	Inode   uint64    `json:"inode,omitempty"`
	Size    int64     `json:"size"` // bytes
	MTime   time.Time `json:"mtime,omitzero"`
	CTime   time.Time `json:"ctime,omitzero"`
	Mode    uint32    `json:"mode,omitempty"` // permission and set-id bits
	UID     int64     `json:"uid"`            // owner of the file; -1 when not known
	// SHA256 is lower-case hexadecimal; absent when the file could not be read, and
	// then Problem says why.
	SHA256    string    `json:"sha256,omitempty"`
	Cached    bool      `json:"cached,omitempty"` // hashed in an earlier acquisition; the file's identity and times are unchanged
	Problem   string    `json:"problem,omitempty"`
	Processes []ProcRef `json:"processes,omitempty"`
	// Signature is valid, catalog (valid, by a catalogue of the system), none, invalid or
	// unknown, as this PC judges it without asking the network; Windows only. SignatureCode
	// is the system's reason for what is not valid, hexadecimal (WinVerifyTrust).
	Signature     string `json:"signature,omitempty"`
	SignatureCode string `json:"signature_code,omitempty"`
}

// ProcRef names a process (see [Process]).
type ProcRef struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"start_ticks"`
}

// AppendJSON appends e as one JSON object.
func (e *ExeHash) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = str(b, "path", e.Path)
	b = b64(b, "path_b64", e.PathRaw)
	b = flag(b, "deleted", e.Deleted)
	b = flag(b, "memfd", e.MemFD)
	b = unum(b, "dev", e.Dev)
	b = unum(b, "inode", e.Inode)
	b = numAlways(b, "size", e.Size)
	b = when(b, "mtime", e.MTime)
	b = when(b, "ctime", e.CTime)
	b = unum(b, "mode", e.Mode)
	b = numAlways(b, "uid", e.UID)
	b = str(b, "sha256", e.SHA256)
	b = flag(b, "cached", e.Cached)
	b = str(b, "problem", e.Problem)
	b = procRefs(b, "processes", e.Processes)
	b = str(b, "signature", e.Signature)
	return append(str(b, "signature_code", e.SignatureCode), '}')
}
