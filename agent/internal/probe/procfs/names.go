package procfs

import (
	"bytes"

	"hozen/internal/artifact/record"
)

// ParseNames reads /etc/passwd or /etc/group (passwd(5), group(5)): numbers to names.
// Of two names for one number the first wins, as for getpwuid(3).
func ParseNames(b []byte) map[int64]string {
	names := make(map[int64]string)
	for line := range bytes.Lines(b) {
		name, rest, ok := bytes.Cut(line, []byte(":"))
		_, rest, ok2 := bytes.Cut(rest, []byte(":"))
		if !ok || !ok2 || len(name) == 0 || name[0] == '#' || name[0] == '+' || name[0] == '-' {
			continue
		}
		id, _, _ := bytes.Cut(rest, []byte(":"))
		v, neg, ok := number(bytes.TrimRight(id, "\r\n"))
		if !ok || neg || v > 1<<32-1 {
			continue
		}
		if _, taken := names[int64(v)]; !taken {
			names[int64(v)], _ = record.Text(name)
		}
	}
	return names
}
