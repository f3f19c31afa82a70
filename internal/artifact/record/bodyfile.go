package record

import "time"

// SchemaBodyFile is the names and times of what lies in chosen folders.
const SchemaBodyFile = "hozen.bodyfile/1"

// The values of Type of the lines of hozen.bodyfile.
const (
	BodyFileTree  = "tree"  // a folder that was to be walked, and how far that went
	BodyFileEntry = "entry" // a file, folder, link or else in one of them
)

// FileTimes are the times of a file and its place that FileInfo does not have, with what
// a body file of The Sleuth Kit needs (statx(2)).
type FileTimes struct {
	FileInfo
	// ModeText are kind and permissions as ls(1) shows them, such as "-rwsr-xr-x".
	ModeText string `json:"mode_text"`
	// Dev is the device of its file system, "major:minor".
	Dev string `json:"dev"`
	// Accessed and Born are absent where the file system does not keep them.
	Accessed time.Time `json:"accessed_at,omitzero"`
	Born     time.Time `json:"born_at,omitzero"`
}

func (f *FileTimes) append(b []byte) []byte {
	b = f.FileInfo.append(b)
	b = strAlways(b, "mode_text", f.ModeText)
	b = strAlways(b, "dev", f.Dev)
	b = when(b, "accessed_at", f.Accessed)
	return when(b, "born_at", f.Born)
}

// BodyEntry is one entry of a folder.
type BodyEntry struct {
	Type string `json:"type"` // BodyFileEntry
	FileTimes
	// Closed says why what is below a folder is not told here: private, own_tree,
	// other_file_system, depth, denied, too_many, failed.
	Closed string `json:"closed,omitempty"`
}

// AppendJSON appends e as one JSON object.
func (e *BodyEntry) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", e.Type)
	b = e.FileTimes.append(b)
	return append(str(b, "closed", e.Closed), '}')
}

// BodyTree ends the lines of one tree.
type BodyTree struct {
	Type    string `json:"type"` // BodyFileTree
	Path    string `json:"path"` // as the list of trees has it
	PathRaw []byte `json:"path_b64,omitempty"`
	// At is where Path leads by links of the system, absent when it is Path.
	At    string `json:"at,omitempty"`
	AtRaw []byte `json:"at_b64,omitempty"`
	Depth int    `json:"depth"` // how deep it was walked at most
	// NamesOf is "all", or "folders" where the names of files are left out because the tree
	// is private.
	NamesOf string `json:"names_of"`
	Entries int64  `json:"entries"` // lines
	// LeftOut counts entries that were seen and not told, because they are private or the places of
	// other file systems, and Unread what could not be read.
	LeftOut int64 `json:"left_out,omitempty"`
	Unread  int64 `json:"unread,omitempty"`
	// Ended says why not all of it was walked: absent, other_file_system, too_many, time,
	// failed. Absent: all was.
	Ended string `json:"ended,omitempty"`
}

// AppendJSON appends t as one JSON object.
func (t *BodyTree) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", t.Type)
	b = strAlways(b, "path", t.Path)
	b = b64(b, "path_b64", t.PathRaw)
	b = str(b, "at", t.At)
	b = b64(b, "at_b64", t.AtRaw)
	b = numAlways(b, "depth", t.Depth)
	b = strAlways(b, "names_of", t.NamesOf)
	b = numAlways(b, "entries", t.Entries)
	b = num(b, "left_out", t.LeftOut)
	b = num(b, "unread", t.Unread)
	return append(str(b, "ended", t.Ended), '}')
}
