package export

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Limits of originals, so that no endpoint makes a package that its verifier refuses.
const (
	maxOriginals     = 400_000 // files of a package
	maxOriginalsOf   = 20_000  // of an artifact
	maxOriginalIndex = 64 << 20
	maxZipName       = 512 // bytes
	maxZipDepth      = 24
	maxFileNumber    = 999_999_999 // that a line gives to a file
)

// Folders of originals, below the host's. A name that the PC gave is kept below rootfs
// where every system can have it; otherwise the file is called after its artifact.
const (
	rootfs    = "fs/$rootfs$"
	elsewhere = "fs/$other$"
)

// holdsFiles reports whether the lines of a kind carry the bytes of files.
func holdsFiles(kind string) bool {
	switch kind {
	case "deletedexe", "logfile", "history", "startfile", "userfile", "ransomnote":
		return true
	}
	return false
}

// original is a line of fs/index.jsonl: a file of a PC, where it lay and where it lies now.
type original struct {
	Acquisition string `json:"acquisition_id"`
	Evidence    string `json:"evidence"`
	Kind        string `json:"kind"`
	File        int64  `json:"file"` // its number in the artifact
	Path        string `json:"path"`
	PathRaw     []byte `json:"path_b64,omitempty"`
	Name        string `json:"name"` // below the host's folder
	Size        int64  `json:"size"`
	SHA256      string `json:"sha256"`
	// Whole says that the PC's file was copied from its beginning to its end.
	Whole bool `json:"whole"`
}

// originals writes the files of a host that its evidence carries, as files, and their index.
func (x *writer) originals(h *docHost) error {
	o := &unpacker{x: x, host: h, prefix: "data/hosts/" + h.Folder + "/", used: map[string]bool{}}
	if err := h.ofHost(holdsFiles, o.artifact); err != nil {
		return err
	}
	if o.index.Len() == 0 && o.left == 0 {
		return nil
	}
	if o.left > 0 {
		fmt.Fprintf(&o.index, "{\"left_out\":%d}\n", o.left)
	}
	return x.bag.text("hosts/"+h.Folder+"/fs/index.jsonl", o.index.Bytes())
}

// unpacker writes the originals of one host, in the order of the lines that carry them.
type unpacker struct {
	x      *writer
	host   *docHost
	prefix string
	index  bytes.Buffer
	used   map[string]bool // names in one case of letters; true: a file, false: a folder
	left   int64           // files that found no place

	of   int   // files of this artifact
	last int64 // number of the line before that began a file or said why there is none; -1: there was none
	cur  *original
	from int64
	to   *content // nil: there is no place for it
}

func (o *unpacker) artifact(a *Acquisition, it *Item) error {
	o.of, o.last = 0, -1
	err := o.x.each(it, func(members []member) error { return o.line(a, it, members) })
	if err != nil {
		return err
	}
	return o.finish(-1, "", true)
}

// line takes a line of an artifact: one that begins a file, has bytes of it, or ends it.
func (o *unpacker) line(a *Acquisition, it *Item, members []member) error {
	var part, name, data, sum, unread, problem string
	var raw []byte
	var from, copied int64
	number := int64(-1)
	var cut bool
	if !into(members, func(n []byte) any {
		switch string(n) {
		case "part":
			return &part
		case "file":
			return &number
		case "path":
			return &name
		case "path_b64":
			return &raw
		case "from":
			return &from
		case "unread":
			return &unread
		case "data_b64":
			return &data
		case "copied":
			return &copied
		case "sha256":
			return &sum
		case "cut":
			return &cut
		case "problem":
			return &problem
		}
		return nil
	}) {
		return nil
	}
	switch {
	case part == "file":
		o.count(number)
		if err := o.finish(-1, "", true); err != nil || unread != "" {
			return err
		}
		o.from = from
		return o.begin(&original{Acquisition: a.ID, Evidence: it.Number, Kind: it.Kind, Path: name, PathRaw: raw})
	case part == "data" && o.cur != nil:
		b, err := base64.StdEncoding.DecodeString(data)
		if err != nil || o.to == nil {
			return nil
		}
		_, err = o.to.Write(b)
		return err
	case part == "end" && o.cur != nil:
		return o.finish(copied, sum, cut || problem != "")
	}
	return nil
}

// count gives the next number. Lines have numbers that rise; to those that an endpoint wrote in
// another way the next one is given, so that no two files of an artifact have the same.
func (o *unpacker) count(number int64) {
	if number <= o.last || number > maxFileNumber {
		number = o.last + 1
	}
	o.last = number
}

func (o *unpacker) begin(f *original) error {
	f.File = o.last
	o.of++
	o.cur = f
	if o.of > maxOriginalsOf || o.x.unpacked >= maxOriginals || o.index.Len() > maxOriginalIndex {
		o.left++
		return nil
	}
	o.x.unpacked++
	f.Name = o.name(f)
	var err error
	o.to, err = o.x.bag.begin(o.prefix+f.Name, zip.Deflate)
	return err
}

// finish ends the file that was begun, if any. What the artifact says of its end is compared
// with what there was.
func (o *unpacker) finish(copied int64, sum string, broken bool) error {
	f, to := o.cur, o.to
	o.cur, o.to = nil, nil
	if to == nil {
		return nil
	}
	var err error
	if f.SHA256, err = to.end(); err != nil {
		return err
	}
	f.Size = to.n
	f.Whole = !broken && o.from == 0 && f.Size == copied && f.SHA256 == sum
	o.x.bag.list(f.SHA256, o.prefix+f.Name, f.Size)
	return writeLine(&o.index, f)
}

// name chooses where a file lies.
func (o *unpacker) name(f *original) string {
	p := f.Path
	if len(f.PathRaw) > 0 {
		p = string(f.PathRaw)
	}
	if n := rootfs + p; portable(o.x.p.Number+"/"+o.prefix, n) && o.take(n) {
		return n
	}
	n := fmt.Sprintf("%s/%s/%s-%05d", elsewhere, f.Acquisition, f.Kind, f.File)
	o.take(n) // nobody else has it
	return n
}

// take takes a name unless a file has it, or it is a folder, in any case of letters.
func (o *unpacker) take(name string) bool {
	name = folded(name)
	if _, there := o.used[name]; there {
		return false
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if o.used[dir] {
			return false
		}
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		o.used[dir] = false
	}
	o.used[name] = true
	return true
}

func folded(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// portable reports whether every system can have a file of that name, and the format too.
func portable(before, name string) bool {
	rest, ok := strings.CutPrefix(name, rootfs+"/")
	if !ok || len(before)+len(name) > maxZipName || strings.Count(before+name, "/") >= maxZipDepth || !utf8.ValidString(name) || norm.NFC.String(name) != name {
		return false
	}
	for part := range strings.SplitSeq(rest, "/") {
		stem, _, _ := strings.Cut(strings.ToUpper(part), ".")
		if part == "" || part == "." || part == ".." || len(part) > 200 || part[0] == ' ' || strings.HasSuffix(part, " ") || strings.HasSuffix(part, ".") ||
			strings.ContainsFunc(part, func(r rune) bool { return !unicode.IsPrint(r) || strings.ContainsRune(`\:*?"<>|`, r) }) || slices.Contains(devices(), strings.TrimSpace(stem)) {
			return false
		}
	}
	return true
}

// devices are names that Windows does not let files have.
func devices() []string {
	list := []string{"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
	for n := '1'; n <= '9'; n++ {
		list = append(list, "COM"+string(n), "LPT"+string(n))
	}
	return list
}
