package record

import "time"

// SchemaDeletedExe is the bytes of programs that have no name on a disk.
const SchemaDeletedExe = "hozen.deletedexe/1"

// The values of the member "part": the lines of a file stand together, one that begins
// it, its bytes in order, one that ends it. A file without an end was broken off.
const (
	PartFile = "file" // [DeletedFile]
	PartData = "data" // [DeletedData]
	PartEnd  = "end"  // [DeletedEnd]
)

// DeletedFile begins the copy of one executable file whose name is gone or that never had
// one.
type DeletedFile struct {
	Part      string    `json:"part"` // PartFile
	File      int       `json:"file"` // number of the file in this artifact, from 0
	Path      string    `json:"path,omitempty"`
	PathRaw   []byte    `json:"path_b64,omitempty"` // as the first of Processes sees it, without the mark " (deleted)"
	MemFD     bool      `json:"memfd,omitempty"`    // never was on a disk (memfd_create(2))
	Dev       uint64    `json:"dev,omitempty"`      // st_dev as stat(2) gives it
	Inode     uint64    `json:"inode,omitempty"`
	Size      int64     `json:"size"` // bytes, as stat(2) gives it before reading
	MTime     time.Time `json:"mtime,omitzero"`
	Mode      uint32    `json:"mode,omitempty"` // permission and set-id bits
	UID       int64     `json:"uid"`            // owner of the file
	Processes []ProcRef `json:"processes,omitempty"`
}

// AppendJSON appends d as one JSON object.
func (d *DeletedFile) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", d.Part)
	b = numAlways(b, "file", d.File)
	b = str(b, "path", d.Path)
	b = b64(b, "path_b64", d.PathRaw)
	b = flag(b, "memfd", d.MemFD)
	b = unum(b, "dev", d.Dev)
	b = unum(b, "inode", d.Inode)
	b = numAlways(b, "size", d.Size)
	b = when(b, "mtime", d.MTime)
	b = unum(b, "mode", d.Mode)
	b = numAlways(b, "uid", d.UID)
	return append(procRefs(b, "processes", d.Processes), '}')
}

// DeletedData is a piece of the bytes of a file.
type DeletedData struct {
	Part   string `json:"part"` // PartData
	File   int    `json:"file"`
	Offset int64  `json:"offset"`
	Data   []byte `json:"data_b64,omitempty"`
}

// AppendJSON appends d as one JSON object.
func (d *DeletedData) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", d.Part)
	b = numAlways(b, "file", d.File)
	b = numAlways(b, "offset", d.Offset)
	return append(b64(b, "data_b64", d.Data), '}')
}

// DeletedEnd ends a file: Copied bytes of it have the digest SHA256.
type DeletedEnd struct {
	Part    string `json:"part"` // PartEnd
	File    int    `json:"file"`
	Copied  int64  `json:"copied"`
	SHA256  string `json:"sha256,omitempty"`
	Cut     bool   `json:"cut,omitempty"`     // the file is longer
	Problem string `json:"problem,omitempty"` // why it is not whole otherwise
}

// AppendJSON appends d as one JSON object.
func (d *DeletedEnd) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", d.Part)
	b = numAlways(b, "file", d.File)
	b = numAlways(b, "copied", d.Copied)
	b = str(b, "sha256", d.SHA256)
	b = flag(b, "cut", d.Cut)
	return append(str(b, "problem", d.Problem), '}')
}
