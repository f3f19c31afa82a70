package ring

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hozen/agent/internal/sorted"
)

const (
	magic      = "HOZNRING"
	version    = 1
	headerSize = 2 * sector // the header and its copy
	maxSegment = 16 << 20
	suffix     = ".ring"
	lockName   = "lock"
	tempName   = ".tmp-ring" // see durable.IsTemp
)

// header stands at the begin of a segment, twice.
type header struct {
	number uint64
	first  uint64 // the first entry has this number or a higher one
	marker marker // random; a group of this segment begins with it
	link   hash   // of the last group of the segment before
	bootID string
	sum    hash // of the header's own sector
}

func (h *header) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint32(b, version)
	b = append(b, 0, 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.number)
	b = binary.LittleEndian.AppendUint64(b, h.first)
	b = append(b, h.marker[:]...)
	b = append(b, h.link[:]...)
	b = append(b, byte(len(h.bootID)))
	b = append(b, h.bootID...)
	b = append(b, make([]byte, sector-4-(len(b)-start))...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli()))
	h.sum = sha256.Sum256(b[start:])
	return b
}

var (
	errHeader  = errors.New("the header of the segment is damaged, and its copy too")
	errVersion = errors.New("the segment has a version that this program does not know")
)

func parseHeader(b []byte) (header, error) {
	for _, at := range []int{0, sector} {
		if len(b) < at+sector {
			break
		}
		s := b[at : at+sector]
		if string(s[:8]) != magic || crc32.Checksum(s[:sector-4], castagnoli()) != binary.LittleEndian.Uint32(s[sector-4:]) {
			continue
		}
		if binary.LittleEndian.Uint32(s[8:]) != version {
			return header{}, errVersion
		}
		h := header{number: binary.LittleEndian.Uint64(s[16:]), first: binary.LittleEndian.Uint64(s[24:])}
		copy(h.marker[:], s[32:])
		copy(h.link[:], s[40:])
		if s[72] > MaxBootID {
			return header{}, errHeader
		}
		h.bootID = string(s[73 : 73+int(s[72])])
		h.sum = sha256.Sum256(s)
		return h, nil
	}
	return header{}, errHeader
}

// segment is what is known of a file of the ring.
type segment struct {
	number uint64
	path   string
	size   int64 // of the file
	used   int64 // bytes that groups take, the header included; 0 when unknown
	bootID string
	first  uint64 // entries; 0 when there is none or it is unknown
	last   uint64
	latest int64 // wall clock of the newest entry, nanoseconds since 1970
	sound  bool  // all of it could be read
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%08d%s", number, suffix))
}

// list returns the segments in dir by their number, without opening them, and how many
// files are unfinished.
func list(dir string) ([]segment, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var out []segment
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		if !ok || len(digits) < 8 || !e.Type().IsRegular() {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n == 0 || filepath.Base(segmentPath(dir, n)) != e.Name() {
			continue
		}
		fi, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue // overwritten meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		out = append(out, segment{number: n, path: filepath.Join(dir, e.Name()), size: fi.Size()})
	}
	sorted.Func(out, func(a, b segment) int { return int(int64(a.number) - int64(b.number)) })
	return out, nil
}
