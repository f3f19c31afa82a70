package verify

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits on zips. They are part of the format.
const (
	maxZipNames   = 1 << 20
	maxZipCentral = 256 << 20
	maxZipName    = 512
	maxZipDepth   = 24
	maxDeflated   = 1 << 30 // bytes that one deflated file unpacks to
	maxUnpacked   = 1 << 40 // bytes that all deflated files unpack to
)

// zipEntry is one file of a zip.
type zipEntry struct {
	name         string
	dir          bool
	flags        uint16
	method       uint16
	crc          uint32
	stored, size int64
	header       int64 // where its local header begins
	data         int64 // where its bytes begin
}

// zipError names what is wrong with a zip, and where.
type zipError struct {
	code, file, detail string
}

func (e *zipError) Error() string { return e.detail }

func zipWrong(code, file, format string, args ...any) *zipError {
	return &zipError{code, file, fmt.Sprintf(format, args...)}
}

// readZip reads the directory of a zip (APPNOTE.TXT 6.3.10) and looks at every header. It
// takes one form only: files one after the other from the first byte on, their directory,
// its end, nothing else. So no two programs can see two contents in one file.
func readZip(r io.ReaderAt, size int64) ([]*zipEntry, error) {
	dirAt, dirSize, count, err := zipEnd(r, size)
	if err != nil {
		return nil, err
	}
	if count > maxZipNames || dirSize > maxZipCentral {
		return nil, zipWrong(codeZipBomb, "", "%d names in a directory of %d bytes", count, dirSize)
	}
	b := make([]byte, dirSize)
	if _, err := r.ReadAt(b, dirAt); err != nil {
		return nil, zipWrong(codeZip, "", "the directory cannot be read: %v", err)
	}
	var list []*zipEntry
	var unpacked int64
	for len(b) > 0 {
		e, n, err := zipCentral(b)
		if err != nil {
			return nil, err
		}
		b = b[n:]
		list = append(list, e)
		if e.method == 8 {
			unpacked += e.size
		}
		if unpacked > maxUnpacked {
			return nil, zipWrong(codeZipBomb, "", "it unpacks to more than %d bytes", int64(maxUnpacked))
		}
	}
	if int64(len(list)) != count {
		return nil, zipWrong(codeZip, "", "the directory has %d names, its end says %d", len(list), count)
	}
	if err := zipNames(list); err != nil {
		return nil, err
	}
	return list, zipLayout(r, list, dirAt)
}

const (
	zipEndLen     = 22
	zip64EndLen   = 56
	zip64LocLen   = 20
	sigEnd        = 0x06054b50
	sig64End      = 0x06064b50
	sig64Locator  = 0x07064b50
	sigCentral    = 0x02014b50
	sigLocal      = 0x04034b50
	sigDescriptor = 0x08074b50
)

// zipEnd reads the end of the central directory, which must be the last bytes.
func zipEnd(r io.ReaderAt, size int64) (dirAt, dirSize, count int64, err error) {
	le := binary.LittleEndian
	var b [zipEndLen]byte
	if size < zipEndLen {
		return 0, 0, 0, zipWrong(codeZip, "", "%d bytes are no zip", size)
	}
	if _, err := r.ReadAt(b[:], size-zipEndLen); err != nil {
		return 0, 0, 0, zipWrong(codeZip, "", "%v", err)
	}
	if le.Uint32(b[:]) != sigEnd || le.Uint16(b[20:]) != 0 {
		if zipEndAbove(r, size) {
			return 0, 0, 0, zipWrong(codeZipTail, "", "something follows the end of the zip")
		}
		return 0, 0, 0, zipWrong(codeZip, "", "it does not end as a zip does: it is cut off")
	}
	if le.Uint16(b[4:]) != 0 || le.Uint16(b[6:]) != 0 || le.Uint16(b[8:]) != le.Uint16(b[10:]) {
		return 0, 0, 0, zipWrong(codeZip, "", "it is one part of several")
	}
	count, dirSize, dirAt = int64(le.Uint16(b[10:])), int64(le.Uint32(b[12:])), int64(le.Uint32(b[16:]))
	end := size - zipEndLen
	if count == 0xffff || dirSize == 0xffffffff || dirAt == 0xffffffff {
		var loc [zip64LocLen]byte
		var e [zip64EndLen]byte
		if end < zip64LocLen+zip64EndLen {
			return 0, 0, 0, zipWrong(codeZip, "", "its end is cut off")
		}
		if _, err := r.ReadAt(loc[:], end-zip64LocLen); err != nil || le.Uint32(loc[:]) != sig64Locator {
			return 0, 0, 0, zipWrong(codeZip, "", "the long end of the directory is not there")
		}
		end -= zip64LocLen + zip64EndLen
		if _, err := r.ReadAt(e[:], end); err != nil || le.Uint32(e[:]) != sig64End || le.Uint64(e[4:]) != zip64EndLen-12 ||
			le.Uint64(loc[8:]) != uint64(end) || le.Uint32(e[16:]) != 0 || le.Uint32(e[20:]) != 0 || le.Uint64(e[24:]) != le.Uint64(e[32:]) {
			return 0, 0, 0, zipWrong(codeZip, "", "the long end of the directory is not in the form")
		}
		n, s, at := le.Uint64(e[32:]), le.Uint64(e[40:]), le.Uint64(e[48:])
		if n > maxZipNames || s > maxZipCentral || at > uint64(size) {
			return 0, 0, 0, zipWrong(codeZipBomb, "", "%d names in a directory of %d bytes", n, s)
		}
		count, dirSize, dirAt = int64(n), int64(s), int64(at)
	}
	if dirAt+dirSize != end {
		return 0, 0, 0, zipWrong(codeZipTail, "", "the directory ends at %d, its end begins at %d", dirAt+dirSize, end)
	}
	return dirAt, dirSize, count, nil
}

// zipEndAbove reports whether a whole end of a zip is found before the last bytes.
func zipEndAbove(r io.ReaderAt, size int64) bool {
	n := min(size, zipEndLen+0xffff)
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-n); err != nil {
		return false
	}
	at := strings.LastIndex(string(b), "PK\x05\x06")
	return at >= 0 && len(b)-at >= zipEndLen
}

// zipCentral reads one header of the directory and returns its length.
func zipCentral(b []byte) (*zipEntry, int, error) {
	le := binary.LittleEndian
	const fixed = 46
	if len(b) < fixed || le.Uint32(b) != sigCentral {
		return nil, 0, zipWrong(codeZip, "", "the directory is not in the form")
	}
	nameLen, extraLen, commentLen := int(le.Uint16(b[28:])), int(le.Uint16(b[30:])), int(le.Uint16(b[32:]))
	if len(b) < fixed+nameLen+extraLen+commentLen {
		return nil, 0, zipWrong(codeZip, "", "the directory is cut off")
	}
	e := &zipEntry{name: string(b[fixed : fixed+nameLen]), flags: le.Uint16(b[8:]), method: le.Uint16(b[10:]), crc: le.Uint32(b[16:]),
		stored: int64(le.Uint32(b[20:])), size: int64(le.Uint32(b[24:])), header: int64(le.Uint32(b[42:]))}
	shown := fmt.Sprintf("%.200q", e.name)
	if commentLen != 0 || le.Uint16(b[34:]) != 0 {
		return nil, 0, zipWrong(codeZip, shown, "it has a comment or lies on another disk")
	}
	if err := zip64Extra(e, b[fixed+nameLen:fixed+nameLen+extraLen]); err != nil {
		return nil, 0, zipWrong(codeZip, shown, "%v", err)
	}
	if why := zipName(e.name, e.flags); why != "" {
		return nil, 0, zipWrong(codeZipName, shown, "%s", why)
	}
	switch mode := le.Uint32(b[38:]) >> 16 & 0o170000; {
	case b[5] != 3 && b[5] != 19, mode == 0, mode == 0o100000: // not from Unix, or a plain file
	case mode == 0o040000 && strings.HasSuffix(e.name, "/"):
	default:
		return nil, 0, zipWrong(codeZipLink, shown, "its type is %o", mode)
	}
	switch {
	case e.flags&(1|1<<6|1<<13) != 0:
		return nil, 0, zipWrong(codeZipEncrypted, shown, "flags %#x", e.flags)
	case e.method != 0 && e.method != 8:
		return nil, 0, zipWrong(codeZipMethod, shown, "method %d", e.method)
	case e.method == 0 && e.stored != e.size:
		return nil, 0, zipWrong(codeZip, shown, "%d bytes are stored of a file of %d", e.stored, e.size)
	case e.method == 8 && e.size > maxDeflated:
		return nil, 0, zipWrong(codeZipBomb, shown, "it unpacks to %d bytes, at most %d", e.size, int64(maxDeflated))
	case e.stored < 0 || e.size < 0 || e.header < 0:
		return nil, 0, zipWrong(codeZip, shown, "a size beyond all sizes")
	}
	if e.dir = strings.HasSuffix(e.name, "/"); e.dir && (e.size != 0 || e.stored != 0) {
		return nil, 0, zipWrong(codeZip, shown, "a folder with content")
	}
	return e, fixed + nameLen + extraLen, nil
}

// zip64Extra takes the long sizes out of the extra field.
func zip64Extra(e *zipEntry, extra []byte) error {
	le := binary.LittleEndian
	seen := false
	for len(extra) > 0 {
		if len(extra) < 4 || len(extra) < 4+int(le.Uint16(extra[2:])) {
			return errors.New("its extra field is cut off")
		}
		id, v := le.Uint16(extra), extra[4:4+int(le.Uint16(extra[2:]))]
		extra = extra[4+len(v):]
		switch id {
		case 1:
			if seen {
				return errors.New("two long sizes")
			}
			seen = true
			for _, f := range []*int64{&e.size, &e.stored, &e.header} {
				if *f != 0xffffffff {
					continue
				}
				if len(v) < 8 {
					return errors.New("a long size is missing")
				}
				*f = int64(le.Uint64(v))
				v = v[8:]
			}
		case 0x7075: // another spelling of the name, which other programs would take
			return errors.New("it has a second name")
		}
	}
	return nil
}

// zipName says why a name is not one of the format, or "".
func zipName(name string, flags uint16) string {
	plain := strings.TrimSuffix(name, "/")
	switch {
	case plain == "" || len(name) > maxZipName:
		return "it is empty or too long"
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.Count(plain, "/") >= maxZipDepth:
		return "it is too deep"
	}
	ascii := true
	for _, r := range plain {
		ascii = ascii && r < utf8.RuneSelf
		if strings.ContainsRune(`\:*?"<>|`, r) || !unicode.IsPrint(r) {
			return fmt.Sprintf("the character %U", r)
		}
	}
	if !ascii && flags&(1<<11) == 0 {
		return "it is not marked as UTF-8"
	}
	for part := range strings.SplitSeq(plain, "/") {
		if part == "" || part == "." || part == ".." || strings.HasSuffix(part, ".") || strings.HasSuffix(part, " ") || strings.HasPrefix(part, " ") {
			return "it does not stay in its folder, or begins or ends with a space or dot"
		}
	}
	return ""
}

// zipNames looks for names that stand twice or would fall together.
func zipNames(list []*zipEntry) error {
	exact, folded := map[string]*zipEntry{}, map[string]bool{}
	for _, e := range list {
		name := strings.TrimSuffix(e.name, "/")
		shown := fmt.Sprintf("%.200q", e.name)
		if exact[name] != nil {
			return zipWrong(codeZipTwice, shown, "")
		}
		exact[name] = e
		fold := strings.ToLower(strings.ToUpper(name))
		if folded[fold] {
			return zipWrong(codeZipCase, shown, "")
		}
		folded[fold] = true
	}
	for _, e := range list { // a file where another name needs a folder
		for i := 1; i < len(e.name)-1; i++ {
			if e.name[i] == '/' && exact[e.name[:i]] != nil && !exact[e.name[:i]].dir {
				return zipWrong(codeZipTwice, fmt.Sprintf("%.200q", e.name), "a file and a folder have one name")
			}
		}
	}
	return nil
}

// zipLayout looks at the headers beside the files: they say what the directory says, and
// the files lie one after the other without a gap.
func zipLayout(r io.ReaderAt, list []*zipEntry, dirAt int64) error {
	le := binary.LittleEndian
	sorted := slices.Clone(list)
	slices.SortFunc(sorted, func(a, b *zipEntry) int { return int(min(max(a.header-b.header, -1), 1)) })
	at := int64(0)
	for _, e := range sorted {
		shown := fmt.Sprintf("%.200q", e.name)
		switch {
		case e.header < at:
			return zipWrong(codeZipOverlap, shown, "it begins at %d, where another file is", e.header)
		case e.header > at:
			return zipWrong(codeZipTail, shown, "%d bytes before it belong to no file", e.header-at)
		}
		var b [30]byte
		if _, err := r.ReadAt(b[:], e.header); err != nil || le.Uint32(b[:]) != sigLocal {
			return zipWrong(codeZip, shown, "there is no header at %d", e.header)
		}
		name := make([]byte, le.Uint16(b[26:]))
		if _, err := r.ReadAt(name, e.header+30); err != nil || string(name) != e.name || le.Uint16(b[6:]) != e.flags || le.Uint16(b[8:]) != e.method {
			return zipWrong(codeZip, shown, "its header says something else than the directory")
		}
		extra := make([]byte, le.Uint16(b[28:]))
		if _, err := r.ReadAt(extra, e.header+30+int64(len(name))); err != nil {
			return zipWrong(codeZip, shown, "its header is cut off")
		}
		if err := zipLocal(e, b[:], extra); err != nil {
			return zipWrong(codeZip, shown, "%v", err)
		}
		e.data = e.header + 30 + int64(len(name)) + int64(len(extra))
		end := e.data + e.stored
		if end < e.data || end > dirAt {
			return zipWrong(codeZipOverlap, shown, "it ends at %d, behind the files", end)
		}
		if e.flags&8 != 0 {
			n, err := descriptor(r, e, end)
			if err != nil {
				return zipWrong(codeZip, shown, "%v", err)
			}
			end += n
		}
		at = end
	}
	if at != dirAt {
		return zipWrong(codeZipTail, "", "%d bytes before the directory belong to no file", dirAt-at)
	}
	return nil
}

// zipLocal holds CRC, sizes and extra field of the header beside a file against the directory.
// Where a descriptor follows the file, they may be 0 instead.
func zipLocal(e *zipEntry, b, extra []byte) error {
	le := binary.LittleEndian
	l := &zipEntry{crc: le.Uint32(b[14:]), stored: int64(le.Uint32(b[18:])), size: int64(le.Uint32(b[22:]))}
	if err := zip64Extra(l, extra); err != nil {
		return err
	}
	later := e.flags&8 != 0
	for _, f := range [][2]int64{{int64(l.crc), int64(e.crc)}, {l.stored, e.stored}, {l.size, e.size}} {
		if f[0] != f[1] && !(later && f[0] == 0) {
			return errors.New("its header says something else than the directory")
		}
	}
	return nil
}

// descriptor reads the sizes behind a file and returns how many bytes they take: with or
// without a signature, short or long.
func descriptor(r io.ReaderAt, e *zipEntry, at int64) (int64, error) {
	le := binary.LittleEndian
	var b [24]byte
	n, err := r.ReadAt(b[:], at)
	if err != nil && err != io.EOF {
		return 0, err
	}
	d, skipped := b[:n], int64(0)
	if len(d) >= 4 && le.Uint32(d) == sigDescriptor {
		d, skipped = d[4:], 4
	}
	long := e.stored >= 0xffffffff || e.size >= 0xffffffff
	if !long && len(d) >= 12 && le.Uint32(d) == e.crc && int64(le.Uint32(d[4:])) == e.stored && int64(le.Uint32(d[8:])) == e.size {
		return skipped + 12, nil
	}
	if len(d) >= 20 && le.Uint32(d) == e.crc && le.Uint64(d[4:]) == uint64(e.stored) && le.Uint64(d[12:]) == uint64(e.size) {
		return skipped + 20, nil
	}
	return 0, errors.New("the sizes behind it are not those of the directory")
}
