package autostart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"testing"
	"time"
	"unicode/utf16"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
)

// tree is a registry: hive and key, then values.
type tree map[string][]hiveValue

func (tree) People() ([]string, error) {
	return []string{".DEFAULT", "S-1-5-21-7", "S-1-5-21-7_Classes"}, nil
}

func (t tree) Subkeys(hive, key string) (names []string, err error) {
	for k := range t {
		if n := len(hive + `\` + key + `\`); len(k) > n && k[:n] == hive+`\`+key+`\` {
			names = append(names, k[n:])
		}
	}
	slices.Sort(names)
	if names == nil {
		return nil, fs.ErrNotExist
	}
	return names, nil
}

func (t tree) Values(hive, key string) ([]hiveValue, time.Time, error) {
	v, ok := t[hive+`\`+key]
	if !ok {
		return nil, time.Time{}, fmt.Errorf("open %s: %w", key, fs.ErrNotExist)
	}
	if v == nil {
		return nil, time.Time{}, fs.ErrPermission
	}
	return v, time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), nil
}

func sz(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s + "\x00")) {
		b = append(b, byte(u), byte(u>>8))
	}
	return b
}

func TestRegistryOfWindows(t *testing.T) {
	reg := tree{
		`HKLM\Software\Microsoft\Windows\CurrentVersion\Run`:                                                             {{"更新", regString, sz(`C:\悪い.exe -x`)}},
		`S-1-5-21-7\Software\Microsoft\Windows\CurrentVersion\Run`:                                                       {{"", regExpand, sz(`%TEMP%\a.exe`)}},
		`HKLM\Software\Microsoft\Windows NT\CurrentVersion\Winlogon`:                                                     {{"shell", regString, sz("explorer.exe")}, {"LegalNoticeText", regString, sz("x")}},
		`HKLM\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\sethc.exe`:                       {{"Debugger", regString, sz("cmd.exe")}, {"UseFilter", regDword, []byte{1, 0, 0, 0}}},
		`HKLM\System\CurrentControlSet\Control\Lsa`:                                                                      {{"Security Packages", regMultiple, sz("kerberos\x00mimi\x00")}, {"RunAsPPL", regDword, []byte{2, 0, 0, 0}}},
		`HKLM\Software\Microsoft\Netsh`:                                                                                  {{"odd", 3, []byte{1, 2}}},
		`HKLM\Software\Microsoft\Windows\CurrentVersion\RunOnce`:                                                         nil,
		`S-1-5-21-7\Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\a person has none of that`: {{"Debugger", regString, sz("no")}},
	}
	var l probetest.Lines
	err := facts.New(facts.Config{OS: runtime.GOOS, Read: func(ctx context.Context, o *facts.Out) error { return registry(ctx, reg, o) }}).Acquire(t.Context(), &l)
	if m := probe.AsMissing(err); m == nil || m.Skipped != 1 || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the refused key: %v", err)
	}
	got := map[string]record.StartValue{}
	for _, line := range l.All {
		var v record.StartValue
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		got[v.Category+" "+v.Hive+" "+v.Name+" "+v.Value] = v
	}
	for _, want := range []string{`run HKLM 更新 C:\悪い.exe -x`, `run S-1-5-21-7  %TEMP%\a.exe`, "logon HKLM shell explorer.exe", "instead HKLM Debugger cmd.exe", "security HKLM Security Packages kerberos\nmimi", "security HKLM RunAsPPL 2", "loaded HKLM odd "} {
		v, ok := got[want]
		if !ok || v.ChangedAt.IsZero() || v.Type != "registry" {
			t.Errorf("%q: %+v", want, v)
		}
		delete(got, want)
	}
	if len(got) > 0 {
		t.Errorf("and more: %v", got)
	}
}

func TestValuesThatHide(t *testing.T) {
	if text, exact := valueText(hiveValue{kind: regString, data: sz("calc.exe\x00 -evil")}); text != "calc.exe\n -evil" || exact == nil {
		t.Errorf("%q %x", text, exact)
	}
	if text, exact := valueText(hiveValue{kind: regDword, data: []byte{1}}); text != "" || exact == nil {
		t.Errorf("%q %x", text, exact)
	}
	for _, k := range parseStartKeys(startKeys) {
		if k.key == "" || !k.machine && !k.people || k.category == "" || len(k.values) == 1 && k.values[0] == "" {
			t.Errorf("a row of nothing: %+v", k)
		}
	}
}

func FuzzValueText(f *testing.F) {
	f.Add(uint32(1), []byte("a\x00"))
	f.Fuzz(func(t *testing.T, kind uint32, b []byte) {
		if text, exact := valueText(hiveValue{kind: kind, data: b}); text == "" && exact == nil && len(b) > 2 && kind != regString && kind != regExpand && kind != regMultiple {
			t.Errorf("%x is lost", b)
		}
	})
}

func TestServiceOfWindows(t *testing.T) {
	u := func(s string) []uint16 { return utf16.Encode([]rune(s)) }
	r := service{name: u("evil"), display: u("更新サービス"), kind: 0x110, state: 4, pid: 12, start: 2, command: u(`C:\x.exe -k`), account: u("LocalSystem"), library: `C:\x.dll`}.record()
	if r.Name != "evil" || r.Display != "更新サービス" || r.Kind != "own_process" || r.State != "running" || r.Start != "auto" || r.PID != 12 || r.Command != `C:\x.exe -k` || r.Library != `C:\x.dll` || r.Account != "LocalSystem" || r.Unread != nil {
		t.Errorf("%+v", r)
	}
	if r = (service{kind: 1, state: 1, refused: true}).record(); r.Kind != "kernel_driver" || r.State != "stopped" || r.Start != "unknown" || !slices.Equal(r.Unread, []string{"config"}) {
		t.Errorf("%+v", r)
	}
}
