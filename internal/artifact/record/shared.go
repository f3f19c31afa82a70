package record

import "time"

// SchemaShared is shared memory and temporary files.
const SchemaShared = "hozen.shared/1"

// The values of Type of the lines of hozen.shared; they say which fields a line has.
const (
	SharedMemory    = "shm"   // a segment of System V
	SharedSemaphore = "sem"   // a set of semaphores of System V
	SharedQueue     = "msg"   // a message queue of System V
	SharedFile      = "file"  // in a folder that everybody may write, or in POSIX shared memory
	SharedMQueue    = "queue" // a message queue of POSIX

	SharedShare  = "share"      // Windows: a folder or printer that is offered to other computers
	SharedRemote = "share_file" // Windows: a file that another computer has open
	SharedPipe   = "pipe"       // Windows: a named pipe
)

// SharedIPC is an object of System V IPC (sysvipc(7)).
type SharedIPC struct {
	Type     string    `json:"type"`
	Key      string    `json:"key"` // in hexadecimal; 0x0 is private
	ID       int64     `json:"id"`
	Mode     string    `json:"mode"` // octal
	UID      int64     `json:"uid"`
	GID      int64     `json:"gid"`
	Creator  int64     `json:"creator_uid"`
	Size     uint64    `json:"size,omitempty"`     // bytes of memory or in a queue; semaphores of a set
	Attached int       `json:"attached,omitempty"` // of memory: how many map it
	PID      int       `json:"pid,omitempty"`      // who made it, or sent last
	LastPID  int       `json:"last_pid,omitempty"`
	Changed  time.Time `json:"changed_at,omitzero"`
}

// AppendJSON appends s as one JSON object.
func (s *SharedIPC) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", s.Type)
	b = strAlways(b, "key", s.Key)
	b = numAlways(b, "id", s.ID)
	b = strAlways(b, "mode", s.Mode)
	b = numAlways(b, "uid", s.UID)
	b = numAlways(b, "gid", s.GID)
	b = numAlways(b, "creator_uid", s.Creator)
	b = unum(b, "size", s.Size)
	b = num(b, "attached", s.Attached)
	b = num(b, "pid", s.PID)
	b = num(b, "last_pid", s.LastPID)
	return append(when(b, "changed_at", s.Changed), '}')
}

// TempFile is a file in a temporary folder; its content is not read.
type TempFile struct {
	Type string `json:"type"`
	FileInfo
}

// AppendJSON appends f as one JSON object.
func (f *TempFile) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "type", f.Type)
	return append(f.FileInfo.append(b), '}')
}

// SharedOffer is a share, a file that is open through one, or a named pipe of Windows.
type SharedOffer struct {
	Type    string `json:"type"`
	Name    string `json:"name"`
	NameRaw []byte `json:"name_b64,omitempty"`
	// Path is what a share offers, and the file that is open.
	Path   string `json:"path,omitempty"`
	Remark string `json:"remark,omitempty"`
	// Kind is disk, printer, device or ipc of a share; Hidden one that is not shown to others.
	Kind   string `json:"kind,omitempty"`
	Hidden bool   `json:"hidden,omitempty"`
	User   string `json:"user,omitempty"` // who has the file open
	// Rights are what the file is open for: 1 read, 2 write, 4 create.
	Rights uint32 `json:"rights,omitempty"`
	Locks  uint32 `json:"locks,omitempty"`
	Uses   uint32 `json:"uses,omitempty"` // of a share, at the moment
}

// AppendJSON appends s as one JSON object.
func (s *SharedOffer) AppendJSON(b []byte) []byte {
	b = strAlways(append(b, '{'), "type", s.Type)
	b = strAlways(b, "name", s.Name)
	b = b64(b, "name_b64", s.NameRaw)
	b = str(b, "path", s.Path)
	b = str(b, "remark", s.Remark)
	b = str(b, "kind", s.Kind)
	b = flag(b, "hidden", s.Hidden)
	b = str(b, "user", s.User)
	b = unum(b, "rights", s.Rights)
	b = unum(b, "locks", s.Locks)
	return append(unum(b, "uses", s.Uses), '}')
}
