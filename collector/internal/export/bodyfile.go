package export

import (
	"archive/zip"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

// kindBodyFile is the kind whose lines are names and times of files.
const kindBodyFile = "bodyfile"

// ofHost gives the artifacts of a host of some kinds, in the order of their acquisitions and
// names.
func (h *docHost) ofHost(wanted func(kind string) bool, do func(a *Acquisition, it *Item) error) error {
	for _, a := range h.Acquisitions {
		for _, it := range byName(a.acq.Items) {
			if wanted(it.Kind) && a.DisposedBy == nil {
				if err := do(a.acq, &it); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bodyfile writes the body file of a host (The Sleuth Kit, version 3), if names and times of
// its files were acquired.
func (x *writer) bodyfile(h *docHost) error {
	isOne := func(kind string) bool { return kind == kindBodyFile }
	n := 0
	if err := h.ofHost(isOne, func(*Acquisition, *Item) error { n++; return nil }); err != nil || n == 0 {
		return err
	}
	_, err := x.bag.data("hosts/"+h.Folder+"/bodyfile", zip.Deflate, func(w io.Writer) error {
		var line []byte
		return h.ofHost(isOne, func(_ *Acquisition, it *Item) error {
			return x.each(it, func(members []member) error {
				if line = bodyLine(line[:0], members); len(line) == 0 {
					return nil
				}
				_, err := w.Write(line)
				return err
			})
		})
	})
	return err
}

// bodyLine appends the line of an entry: MD5, name, inode, mode, owner, group, size and four
// times in whole seconds. What is no entry has none.
func bodyLine(b []byte, members []member) []byte {
	var typ, path, target, mode string
	var pathRaw, targetRaw []byte
	var inode uint64
	var uid, gid, size int64
	var times [4]time.Time // accessed, modified, changed, born
	if !into(members, func(name []byte) any {
		switch string(name) {
		case "type":
			return &typ
		case "path":
			return &path
		case "path_b64":
			return &pathRaw
		case "target":
			return &target
		case "target_b64":
			return &targetRaw
		case "mode_text":
			return &mode
		case "inode":
			return &inode
		case "uid":
			return &uid
		case "gid":
			return &gid
		case "size":
			return &size
		case "accessed_at":
			return &times[0]
		case "modified_at":
			return &times[1]
		case "changed_at":
			return &times[2]
		case "born_at":
			return &times[3]
		}
		return nil
	}) || typ != "entry" {
		return b
	}
	b = append(b, "0|"...)
	b = bodyName(b, path, pathRaw)
	if target != "" || len(targetRaw) > 0 {
		b = bodyName(append(b, " -> "...), target, targetRaw)
	}
	b = strconv.AppendUint(append(b, '|'), inode, 10)
	b = bodyName(append(b, '|'), mode, nil)
	for _, n := range []int64{uid, gid, size} {
		b = strconv.AppendInt(append(b, '|'), n, 10)
	}
	for _, t := range times {
		seconds := int64(0)
		if !t.IsZero() {
			seconds = t.Unix()
		}
		b = strconv.AppendInt(append(b, '|'), seconds, 10)
	}
	return append(b, '\n')
}

// bodyName appends a name so that it stays one field of one line: what would end it, a
// backslash, and bytes that are no UTF-8 stand as \xHH.
func bodyName(b []byte, text string, raw []byte) []byte {
	if len(raw) > 0 {
		text = string(raw)
	}
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if r == utf8.RuneError && n == 1 || r < ' ' || r == 0x7f || r == '|' || r == '\\' {
			b = fmt.Appendf(b, `\x%02x`, text[0])
		} else {
			b = append(b, text[:n]...)
		}
		text = text[n:]
	}
	return b
}
