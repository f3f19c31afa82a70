package record

import "time"

// FileInfo is what the system says of a file without its being opened (stat(2)). Lines
// that tell of a file have these fields among theirs.
type FileInfo struct {
	Path    string `json:"path"`
	PathRaw []byte `json:"path_b64,omitempty"`
	// FileKind is file, dir, link, pipe, socket or device.
	FileKind string `json:"file_kind"`
	// Mode are the permission bits in octal, with setuid, setgid and sticky, such as "4755".
	Mode  string `json:"mode"`
	UID   int64  `json:"uid"` // -1 when not known
	GID   int64  `json:"gid"`
	Size  int64  `json:"size"` // bytes
	Inode uint64 `json:"inode,omitempty"`
	Links uint64 `json:"links,omitempty"` // names that it has
	// Modified and Changed are the times of the content and of the entry itself; the
	// latter cannot be set by a program.
	Modified  time.Time `json:"modified_at,omitzero"`
	Changed   time.Time `json:"changed_at,omitzero"`
	Target    string    `json:"target,omitempty"` // of a link
	TargetRaw []byte    `json:"target_b64,omitempty"`
}

func (f *FileInfo) append(b []byte) []byte {
	b = strAlways(b, "path", f.Path)
	b = b64(b, "path_b64", f.PathRaw)
	b = strAlways(b, "file_kind", f.FileKind)
	b = strAlways(b, "mode", f.Mode)
	b = numAlways(b, "uid", f.UID)
	b = numAlways(b, "gid", f.GID)
	b = numAlways(b, "size", f.Size)
	b = unum(b, "inode", f.Inode)
	b = unum(b, "links", f.Links)
	b = when(b, "modified_at", f.Modified)
	b = when(b, "changed_at", f.Changed)
	b = str(b, "target", f.Target)
	return b64(b, "target_b64", f.TargetRaw)
}
