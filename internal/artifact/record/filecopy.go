package record

import "time"

// The schemas of the kinds that hold copies of files. Their lines have one form.
const (
	SchemaLogFile    = "hozen.logfile/1"
	SchemaHistory    = "hozen.history/1"
	SchemaStartFile  = "hozen.startfile/1"
	SchemaUserFile   = "hozen.userfile/1"
	SchemaRansomNote = "hozen.ransomnote/1"
	SchemaBackup     = "hozen.backup/1"
)

// PartRow is the value of the member "part" of the lines that say what was looked for;
// see [PartFile], [PartData] and [PartEnd] for the others.
const PartRow = "row" // [CopyRow]

// CopyFile begins the copy of a file, or says why there is none.
type CopyFile struct {
	Part string `json:"part"` // PartFile
	File int    `json:"file"` // number of the file in this artifact, from 0
	Row  int    `json:"row"`  // of the table, by which it was found
	// Class is that of the row, such as "journal".
	Class string `json:"class"`
	FileTimes
	// Blocks is what the file takes on its disk, in units of 512 bytes: far less than its size
	// where it has holes.
	Blocks uint64 `json:"blocks"`
	// From is where the copy begins: behind 0 where only the end of the file is kept.
	From int64 `json:"from,omitempty"`
	// NoATime says that reading left the time of the last access alone (open(2), O_NOATIME).
	NoATime bool `json:"noatime,omitempty"`
	// Way says how it was read where not by its path: see [WayExport]. Optional.
	Way string `json:"way,omitempty"`
	// Unread says why there is no copy: link, not_regular, denied, gone, replaced, silent,
	// other_file_system, no_room, names_only, time, failed. Without it lines with data and an
	// end follow.
	Unread string `json:"unread,omitempty"`
	// Problem is the system's word on it; where there is a copy, why it was not read as it
	// should have been.
	Problem string `json:"problem,omitempty"`
}

// The values of Way.
const (
	WayExport = "export" // the service that keeps a log wrote a copy of it (EvtExportLog)
	WaySave   = "save"   // the system wrote it, or gave its records: hives, USN journals
)

// AppendJSON appends f as one JSON object.
func (f *CopyFile) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", f.Part)
	b = numAlways(b, "file", f.File)
	b = numAlways(b, "row", f.Row)
	b = strAlways(b, "class", f.Class)
	b = f.FileTimes.append(b)
	b = unumAlways(b, "blocks", f.Blocks)
	b = num(b, "from", f.From)
	b = flag(b, "noatime", f.NoATime)
	b = str(b, "way", f.Way)
	b = str(b, "unread", f.Unread)
	return append(str(b, "problem", f.Problem), '}')
}

// The values of Stability: what a file did while it was read.
const (
	StableSame     = "same"     // size, times and name were the same before and after
	StableGrew     = "grew"     // it is longer now; what was copied may have changed too
	StableChanged  = "changed"  // its content or entry changed
	StableReplaced = "replaced" // its name leads to another file now
	StableRemoved  = "removed"  // its name is gone
	StableUnknown  = "unknown"  // it could not be looked at again
)

// CopyData is a piece of the bytes of a file, with the offset in the file.
type CopyData = DeletedData

// CopyEnd ends the copy of a file: Copied bytes of it have the digest SHA256.
type CopyEnd struct {
	Part   string `json:"part"` // PartEnd
	File   int    `json:"file"`
	Copied int64  `json:"copied"`
	SHA256 string `json:"sha256"`
	// Cut says that the copy is not the whole of what was there when it was opened.
	Cut       bool   `json:"cut,omitempty"`
	Stability string `json:"stability"`
	// SizeAfter and the times are those after reading, absent where they could not be told.
	SizeAfter     int64     `json:"size_after"`
	AccessedAfter time.Time `json:"accessed_after,omitzero"`
	ModifiedAfter time.Time `json:"modified_after,omitzero"`
	ChangedAfter  time.Time `json:"changed_after,omitzero"`
	// Problem is why the copy is not whole otherwise.
	Problem string `json:"problem,omitempty"`
}

// AppendJSON appends e as one JSON object.
func (e *CopyEnd) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", e.Part)
	b = numAlways(b, "file", e.File)
	b = numAlways(b, "copied", e.Copied)
	b = strAlways(b, "sha256", e.SHA256)
	b = flag(b, "cut", e.Cut)
	b = strAlways(b, "stability", e.Stability)
	b = numAlways(b, "size_after", e.SizeAfter)
	b = when(b, "accessed_after", e.AccessedAfter)
	b = when(b, "modified_after", e.ModifiedAfter)
	b = when(b, "changed_after", e.ChangedAfter)
	return append(str(b, "problem", e.Problem), '}')
}

// CopyRow is one row of the table of what was looked for, and what came of it.
type CopyRow struct {
	Part  string `json:"part"` // PartRow
	Row   int    `json:"row"`
	Class string `json:"class"`
	// Pattern is relative to the root, to each home where it begins with "~/", or to each
	// mounted file system where it begins with "@/".
	Pattern string `json:"pattern"`
	Max     int64  `json:"max_bytes"` // of a file
	All     int64  `json:"max_all_bytes"`
	// Keep is which part of a longer file is kept: "start" or "end"; or "names".
	Keep    string `json:"keep"`
	Private bool   `json:"private,omitempty"`
	// State is "done", or why it was not looked for: "excluded" (by the privacy scope) or "time".
	State  string `json:"state"`
	Found  int64  `json:"found"`
	Copied int64  `json:"copied"` // files
	Bytes  int64  `json:"bytes"`
	// Why is what such files are good for.
	Why string `json:"why"`
}

// AppendJSON appends r as one JSON object.
func (r *CopyRow) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "part", r.Part)
	b = numAlways(b, "row", r.Row)
	b = strAlways(b, "class", r.Class)
	b = strAlways(b, "pattern", r.Pattern)
	b = numAlways(b, "max_bytes", r.Max)
	b = numAlways(b, "max_all_bytes", r.All)
	b = strAlways(b, "keep", r.Keep)
	b = flag(b, "private", r.Private)
	b = strAlways(b, "state", r.State)
	b = numAlways(b, "found", r.Found)
	b = numAlways(b, "copied", r.Copied)
	b = numAlways(b, "bytes", r.Bytes)
	return append(strAlways(b, "why", r.Why), '}')
}
