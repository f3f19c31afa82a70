package shared

import (
	"testing"
	"unicode/utf16"
)

func TestOffersOfWindows(t *testing.T) {
	u := func(s string) []uint16 { return utf16.Encode([]rune(s)) }
	if s := offer(u("経理"), u("共有"), u(`D:\経理`), 0, 3); s.Name != "経理" || s.Path != `D:\経理` || s.Kind != "disk" || s.Hidden || s.Uses != 3 || s.Remark != "共有" {
		t.Errorf("%+v", s)
	}
	if s := offer(u("IPC$"), nil, nil, 0x80000003, 0); s.Kind != "ipc" || !s.Hidden {
		t.Errorf("%+v", s)
	}
	if s := opened(9, u(`D:\経理\a.xlsx`), u("admin"), 3, 1); s.Name != "9" || s.Path != `D:\経理\a.xlsx` || s.User != "admin" || s.Rights != 3 || s.Locks != 1 {
		t.Errorf("%+v", s)
	}
	if s := pipe([]uint16{'a', 0xdc00}); s.Type != "pipe" || s.NameRaw == nil {
		t.Errorf("%+v", s)
	}
}
