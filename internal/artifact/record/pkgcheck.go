package record

import "time"

// SchemaPkgCheck is what packages say of their files against what lies on the disk.
const SchemaPkgCheck = "hozen.pkgcheck/1"

// The values of Type of the lines of hozen.pkgcheck.
const (
	PkgFile    = "file"
	PkgSummary = "summary"
)

// The values of State of a file that is not as its package brought it.
const (
	PkgChanged = "changed"     // another content
	PkgMissing = "missing"     // not there
	PkgNotFile = "not_regular" // a link or else in its place
	PkgUnread  = "unread"
)

// PackageFile is a file that is not as its package brought it, or could not be read.
type PackageFile struct {
	Type       string `json:"type"` // PkgFile
	Package    string `json:"package"`
	PackageRaw []byte `json:"package_b64,omitempty"`
	State      string `json:"state"`
	// Conffile says that the file is for the administrator to change.
	Conffile bool   `json:"conffile,omitempty"`
	Path     string `json:"path"` // as the package has it
	PathRaw  []byte `json:"path_b64,omitempty"`
	// At is where it was looked for, by a diversion, absent when it is Path.
	At          string `json:"at,omitempty"`
	AtRaw       []byte `json:"at_b64,omitempty"`
	ExpectedMD5 string `json:"expected_md5"`
	// MD5, SHA256 and what follows are of what is there.
	MD5       string    `json:"md5,omitempty"`
	SHA256    string    `json:"sha256,omitempty"`
	FileKind  string    `json:"file_kind,omitempty"`
	Mode      string    `json:"mode,omitempty"`
	UID       int64     `json:"uid"` // -1 when not known
	GID       int64     `json:"gid"`
	Size      int64     `json:"size"`
	Modified  time.Time `json:"modified_at,omitzero"`
	Changed   time.Time `json:"changed_at,omitzero"`
	Born      time.Time `json:"born_at,omitzero"`
	Target    string    `json:"target,omitempty"`
	TargetRaw []byte    `json:"target_b64,omitempty"`
	// Unread says why it was not compared: denied, other_file_system, too_long, unstable, failed.
	Unread string `json:"unread,omitempty"`
}

// AppendJSON appends f as one JSON object.
func (f *PackageFile) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", f.Type)
	b = strAlways(b, "package", f.Package)
	b = b64(b, "package_b64", f.PackageRaw)
	b = strAlways(b, "state", f.State)
	b = flag(b, "conffile", f.Conffile)
	b = strAlways(b, "path", f.Path)
	b = b64(b, "path_b64", f.PathRaw)
	b = str(b, "at", f.At)
	b = b64(b, "at_b64", f.AtRaw)
	b = strAlways(b, "expected_md5", f.ExpectedMD5)
	b = str(b, "md5", f.MD5)
	b = str(b, "sha256", f.SHA256)
	b = str(b, "file_kind", f.FileKind)
	b = str(b, "mode", f.Mode)
	b = numAlways(b, "uid", f.UID)
	b = numAlways(b, "gid", f.GID)
	b = numAlways(b, "size", f.Size)
	b = when(b, "modified_at", f.Modified)
	b = when(b, "changed_at", f.Changed)
	b = when(b, "born_at", f.Born)
	b = str(b, "target", f.Target)
	b = b64(b, "target_b64", f.TargetRaw)
	return append(str(b, "unread", f.Unread), '}')
}

// PackageSummary ends the lines: how much was compared.
type PackageSummary struct {
	Type     string `json:"type"`    // PkgSummary
	Manager  string `json:"manager"` // "dpkg"
	Packages int64  `json:"packages"`
	// Unlisted are installed packages without a list of digests: of their files nothing is
	// known but those for the administrator to change.
	Unlisted int64 `json:"unlisted,omitempty"`
	Listed   int64 `json:"listed"`   // files that packages list with a digest
	Compared int64 `json:"compared"` // of them
	Bytes    int64 `json:"bytes"`    // that were read
	Changed  int64 `json:"changed"`
	Missing  int64 `json:"missing"`
	// LeftOut are missing because the system is set not to install such files (dpkg(1), --path-exclude).
	LeftOut int64 `json:"left_out,omitempty"`
	NotFile int64 `json:"not_regular,omitempty"`
	Unread  int64 `json:"unread,omitempty"`
	// Unreached were not compared because the time was over. Programs come first, then what
	// they load, then configuration files, then all others.
	Unreached int64 `json:"unreached,omitempty"`
	Untold    int64 `json:"untold,omitempty"` // differences without a line of their own
	Odd       int64 `json:"odd,omitempty"`    // lines of lists that were not understood
}

// AppendJSON appends s as one JSON object.
func (s *PackageSummary) AppendJSON(b []byte) []byte {
	b = append(b, '{')
	b = strAlways(b, "type", s.Type)
	b = strAlways(b, "manager", s.Manager)
	b = numAlways(b, "packages", s.Packages)
	b = num(b, "unlisted", s.Unlisted)
	b = numAlways(b, "listed", s.Listed)
	b = numAlways(b, "compared", s.Compared)
	b = numAlways(b, "bytes", s.Bytes)
	b = numAlways(b, "changed", s.Changed)
	b = numAlways(b, "missing", s.Missing)
	b = num(b, "left_out", s.LeftOut)
	b = num(b, "not_regular", s.NotFile)
	b = num(b, "unread", s.Unread)
	b = num(b, "unreached", s.Unreached)
	b = num(b, "untold", s.Untold)
	return append(num(b, "odd", s.Odd), '}')
}
