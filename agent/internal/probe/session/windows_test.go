package session

import (
	"encoding/binary"
	"testing"
	"time"
	"unicode/utf16"

	"hozen/internal/artifact/record"
)

func units(s string) []uint16 { return utf16.Encode([]rune(s)) }

func TestSessionsOfWindows(t *testing.T) {
	info := make([]byte, 216)
	for i, u := range units("山田") {
		binary.LittleEndian.PutUint16(info[130+2*i:], u)
	}
	binary.LittleEndian.PutUint64(info[200:], 132223104000000000)
	s, ok := terminal{id: 3, station: units("RDP-Tcp#1"), state: 0, info: info, client: units("MALLORY"), address: []byte{2, 0, 0, 0, 0, 0, 203, 0, 113, 5}}.record()
	if !ok || s.Source != record.SourceTerminal || s.ID != "3" || s.State != "active" || s.User != "山田" || s.TTY != "RDP-Tcp#1" || s.RemoteHost != "MALLORY" || s.RemoteAddr != "203.0.113.5" || !s.Remote || s.Since.Year() != 2020 || s.UID != record.Unknown {
		t.Errorf("%+v", s)
	}
	if s, ok := (terminal{state: 6}).record(); ok {
		t.Errorf("a session that only listens: %+v", s)
	}
	if s, ok := (terminal{id: 1, state: 4}).record(); !ok || s.User != "" || s.State != "disconnected" || !s.Since.IsZero() || s.Remote {
		t.Errorf("one that tells nothing of itself: %+v", s)
	}
	l := logon{id: 0x3e7, user: units("PC01$"), domain: units("WORKGROUP"), pkg: units("NTLM"), kind: 3, session: 0, sid: "S-1-5-18", at: 132223104000000000}.record()
	if l.ID != "3e7" || l.Type != "network" || !l.Remote || l.UserSID != "S-1-5-18" || l.Service != "NTLM" || l.Domain != "WORKGROUP" || l.Terminal != "0" || l.Since.Year() != 2020 {
		t.Errorf("%+v", l)
	}
	if l := (logon{kind: 5}).record(); l.Remote || l.Type != "service" {
		t.Errorf("%+v", l)
	}
	now := time.Date(2026, 11, 23, 3, 0, 10, 5, time.UTC)
	v := visitor{computer: units(`\\EVIL`), user: units("admin"), seconds: 70, idle: 10}.record(now)
	if v.Source != record.SourceSMB || v.RemoteHost != `\\EVIL` || v.User != "admin" || !v.Since.Equal(time.Date(2026, 11, 23, 2, 59, 0, 0, time.UTC)) || !v.LastInputAt.Equal(now.Add(-10*time.Second).Truncate(time.Second)) {
		t.Errorf("%+v", v)
	}
}
