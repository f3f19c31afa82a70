package session

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	"hozen/internal/artifact/record"
)

// parseLogind reads a file of /run/systemd/sessions: lines NAME=value, values quoted
// with backslashes as in C. Unknown names are left out: they are logind's own affair.
func parseLogind(id string, b []byte) record.Session {
	s := record.Session{Source: record.SourceLogind, UID: record.Unknown}
	s.ID, _ = record.TextOf(id)
	for line := range bytes.Lines(b) {
		name, value, ok := bytes.Cut(bytes.TrimRight(line, "\n"), []byte("="))
		if !ok || len(name) == 0 || name[0] == '#' {
			continue
		}
		raw := unquote(value)
		text, exact := record.Text(raw)
		number, _ := strconv.ParseInt(text, 10, 64)
		switch string(name) {
		case "UID":
			if n, err := strconv.ParseUint(text, 10, 32); err == nil {
				s.UID = int64(n)
			}
		case "USER":
			s.User, s.UserRaw = text, exact
		case "STATE":
			s.State = text
		case "REMOTE":
			s.Remote = text == "1" || text == "yes"
		case "TYPE":
			s.Type = text
		case "CLASS":
			s.Kind = text
		case "SCOPE":
			s.Scope = text
		case "SERVICE":
			s.Service = text
		case "DESKTOP":
			s.Desktop = text
		case "SEAT":
			s.Seat = text
		case "TTY":
			s.TTY, s.TTYRaw = text, exact
		case "DISPLAY":
			s.Display = text
		case "REMOTE_HOST":
			s.RemoteHost, s.HostRaw = text, exact
		case "REMOTE_USER":
			s.RemoteUser = text
		case "LEADER":
			if number > 0 && number <= 1<<31-1 {
				s.LeaderPID = int(number)
			}
		case "AUDIT":
			s.Audit = number
		case "REALTIME":
			if number > 0 {
				s.Since = time.UnixMicro(number).UTC()
			}
		}
	}
	return s
}

// unquote undoes systemd's cescape: \n, \t, \\, \", \xhh and \ooo.
func unquote(b []byte) []byte {
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	var out []byte
	for i := 0; i < len(b); i++ {
		if b[i] != '\\' || i+1 >= len(b) {
			out = append(out, b[i])
			continue
		}
		i++
		switch c := b[i]; c {
		case 'a', 'b', 'f', 'n', 'r', 't', 'v':
			out = append(out, "\a\b\f\n\r\t\v"[bytes.IndexByte([]byte("abfnrtv"), c)])
		case 's':
			out = append(out, ' ')
		case 'x':
			if v, ok := digits(b[i+1:], 2, 16); ok {
				out, i = append(out, v), i+2
			} else {
				out = append(out, '\\', c)
			}
		case '0', '1', '2', '3':
			if v, ok := digits(b[i:], 3, 8); ok {
				out, i = append(out, v), i+2
			} else {
				out = append(out, '\\', c)
			}
		default:
			out = append(out, c)
		}
	}
	return out
}

func digits(b []byte, n, base int) (byte, bool) {
	if len(b) < n {
		return 0, false
	}
	v, err := strconv.ParseUint(string(b[:n]), base, 8)
	return byte(v), err == nil
}

// The layouts of struct utmp (utmp(5)): where the C library has 32-bit times and where
// it has 64-bit ones.
const (
	utmpSize32 = 384
	utmpSize64 = 400
)

// parseUtmp reads a utmp file. size says which layout it has. A last record that is cut
// short is an error beside the whole ones.
func parseUtmp(b []byte, size int) ([]record.Session, error) {
	var out []record.Session
	for len(b) >= size {
		if s, ok := utmpRecord(b[:size]); ok {
			out = append(out, s)
		}
		b = b[size:]
	}
	if len(b) > 0 {
		return out, fmt.Errorf("read utmp: %d bytes behind the last whole record", len(b))
	}
	return out, nil
}

// utmpRecord reads one record; ok is false for one that was never used.
func utmpRecord(b []byte) (s record.Session, ok bool) {
	ne := binary.NativeEndian
	typ := int16(ne.Uint16(b))
	if typ == 0 && len(bytes.Trim(b, "\x00")) == 0 {
		return s, false
	}
	s = record.Session{Source: record.SourceUtmp, UID: record.Unknown, Kind: utmpKind(typ)}
	if pid := int32(ne.Uint32(b[4:])); pid > 0 {
		s.LeaderPID = int(pid)
	}
	s.TTY, s.TTYRaw = record.Text(cString(b[8:40]))
	s.ID, _ = record.Text(cString(b[40:44]))
	s.User, s.UserRaw = record.Text(cString(b[44:76]))
	s.RemoteHost, s.HostRaw = record.Text(cString(b[76:332]))
	var sec, usec int64
	var addr []byte
	if len(b) == utmpSize64 {
		sec, usec, addr = int64(ne.Uint64(b[344:])), int64(ne.Uint64(b[352:])), b[360:376]
	} else {
		sec, usec, addr = int64(int32(ne.Uint32(b[340:]))), int64(int32(ne.Uint32(b[344:]))), b[348:364]
	}
	if sec != 0 {
		s.Since = time.Unix(sec, usec%1e6*1000).UTC()
	}
	switch ip := netip.AddrFrom16([16]byte(addr)); {
	case ip.IsUnspecified():
	case len(bytes.Trim(addr[4:], "\x00")) == 0:
		s.RemoteAddr = netip.AddrFrom4([4]byte(addr)).String()
	default:
		s.RemoteAddr = ip.String()
	}
	s.Remote = s.RemoteAddr != ""
	return s, true
}

func cString(b []byte) []byte {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		return b[:i]
	}
	return b
}

func utmpKind(t int16) string {
	switch t {
	case 1:
		return "runlevel"
	case 2:
		return "boot"
	case 3:
		return "new_time"
	case 4:
		return "old_time"
	case 5:
		return "init"
	case 6:
		return "login"
	case 7:
		return "user"
	case 8:
		return "dead"
	}
	return "type " + strconv.Itoa(int(t))
}
