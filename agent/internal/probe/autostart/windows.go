package autostart

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winbytes"
	"hozen/internal/artifact/record"
)

// startKeys are the places of the registry by which something starts: the category, whose
// (m: the machine's, u: each person's), the key below it, and the values; "*" stands for each
// key below the one before it, and for all values.
const startKeys = `
run      mu Software\Microsoft\Windows\CurrentVersion\Run|*
run      mu Software\Microsoft\Windows\CurrentVersion\RunOnce|*
run      mu Software\Microsoft\Windows\CurrentVersion\RunOnceEx\*|*
run      mu Software\Microsoft\Windows\CurrentVersion\RunServices|*
run      mu Software\Microsoft\Windows\CurrentVersion\Policies\Explorer\Run|*
run      m  Software\WOW6432Node\Microsoft\Windows\CurrentVersion\Run|*
run      m  Software\WOW6432Node\Microsoft\Windows\CurrentVersion\RunOnce|*
logon    mu Software\Microsoft\Windows NT\CurrentVersion\Winlogon|Shell,Userinit,Taskman,VmApplet,AppSetup,System,UIHost
logon    u  Environment|UserInitMprLogonScript
logon    mu Software\Microsoft\Windows NT\CurrentVersion\Windows|Load,Run
logon    m  Software\Microsoft\Active Setup\Installed Components\*|StubPath
logon    u  Control Panel\Desktop|SCRNSAVE.EXE
loaded   m  Software\Microsoft\Windows NT\CurrentVersion\Windows|AppInit_DLLs,LoadAppInit_DLLs
loaded   m  Software\WOW6432Node\Microsoft\Windows NT\CurrentVersion\Windows|AppInit_DLLs,LoadAppInit_DLLs
loaded   m  System\CurrentControlSet\Control\Session Manager\AppCertDlls|*
loaded   m  System\CurrentControlSet\Control\Print\Monitors\*|Driver
loaded   m  Software\Microsoft\Netsh|*
instead  m  Software\Microsoft\Windows NT\CurrentVersion\Image File Execution Options\*|Debugger,VerifierDlls,GlobalFlag
instead  m  Software\Microsoft\Windows NT\CurrentVersion\SilentProcessExit\*|MonitorProcess,ReportingMode
boot     m  System\CurrentControlSet\Control\Session Manager|BootExecute,SetupExecute,Execute,PendingFileRenameOperations
boot     m  System\Setup|CmdLine,SetupType
security m  System\CurrentControlSet\Control\Lsa|Authentication Packages,Security Packages,Notification Packages,RunAsPPL
security m  System\CurrentControlSet\Control\Lsa\OSConfig|Security Packages
security m  System\CurrentControlSet\Control\SecurityProviders|SecurityProviders
security m  System\CurrentControlSet\Control\SecurityProviders\WDigest|UseLogonCredential
`

// startKey is a row of startKeys.
type startKey struct {
	category string
	machine  bool
	people   bool
	key      string
	values   []string // nil: all
}

func parseStartKeys(table string) (list []startKey) {
	for line := range strings.Lines(table) {
		category, rest, ok := strings.Cut(strings.TrimSpace(line), " ")
		if !ok {
			continue
		}
		whose, rest, _ := strings.Cut(strings.TrimSpace(rest), " ")
		key, values, _ := strings.Cut(strings.TrimSpace(rest), "|")
		k := startKey{category: category, machine: strings.Contains(whose, "m"), people: strings.Contains(whose, "u"), key: key}
		if values != "*" {
			k.values = strings.Split(values, ",")
		}
		list = append(list, k)
	}
	return list
}

// hives is what is asked of a registry.
type hives interface {
	People() ([]string, error)
	Subkeys(hive, key string) ([]string, error)
	Values(hive, key string) (list []hiveValue, changed time.Time, err error)
}

// hiveValue is a value of a key, with the number of its type.
type hiveValue struct {
	name string
	kind uint32
	data []byte
}

// registry writes the values by which something starts.
func registry(ctx context.Context, h hives, o *facts.Out) error {
	people, err := h.People()
	o.Miss(err)
	for _, k := range parseStartKeys(startKeys) {
		var whose []string
		if k.machine {
			whose = append(whose, "HKLM")
		}
		if k.people {
			for _, p := range people {
				if strings.HasPrefix(p, "S-1-") && !strings.HasSuffix(p, "_Classes") {
					whose = append(whose, p)
				}
			}
		}
		for _, hive := range whose {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := k.read(h, hive, o); err != nil {
				return err
			}
		}
	}
	return nil
}

// read writes the values of a row in one hive.
func (k startKey) read(h hives, hive string, o *facts.Out) error {
	keys := []string{k.key}
	if above, ok := strings.CutSuffix(k.key, `\*`); ok {
		names, err := h.Subkeys(hive, above)
		missKey(o, err)
		keys = keys[:0]
		for _, n := range names {
			keys = append(keys, above+`\`+n)
		}
	}
	for _, key := range keys {
		values, changed, err := h.Values(hive, key)
		missKey(o, err)
		for _, v := range values {
			if !k.wants(v.name) {
				continue
			}
			r := &record.StartValue{Type: record.AutostartRegistry, Category: k.category, Hive: hive, Key: key, Name: v.name, ValueKind: v.kind, ChangedAt: changed}
			r.Value, r.ValueRaw = valueText(v)
			if err := o.Write(r); err != nil {
				return err
			}
		}
	}
	return nil
}

// missKey counts a key that could not be read; one that is not there was not missed.
func missKey(o *facts.Out, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		o.Miss(err)
	}
}

func (k startKey) wants(name string) bool {
	if k.values == nil {
		return true
	}
	for _, v := range k.values {
		if strings.EqualFold(v, name) {
			return true
		}
	}
	return false
}

// Types of values (winnt.h).
const (
	regString   = 1
	regExpand   = 2
	regDword    = 4
	regMultiple = 7
)

// valueText is the text of a value, and its bytes where that is not the whole truth.
func valueText(v hiveValue) (text string, exact []byte) {
	switch v.kind {
	case regString, regExpand, regMultiple:
		text, exact = winbytes.Text(v.data)
		text = strings.TrimRight(text, "\x00")
		if strings.Contains(text, "\x00") {
			if v.kind != regMultiple { // something is hidden behind the end
				exact = v.data
			}
			text = strings.ReplaceAll(text, "\x00", "\n")
		}
		return text, exact
	case regDword:
		if len(v.data) == 4 {
			return fmt.Sprint(binary.LittleEndian.Uint32(v.data)), nil
		}
	}
	return "", v.data
}

// service is what the service control manager told.
type service struct {
	name, display    []uint16
	kind, state, pid uint32
	start            uint32
	command, account []uint16
	library          string
	refused          bool
}

func (s service) record() *record.StartService {
	r := &record.StartService{Type: record.AutostartService, Kind: serviceKind(s.kind), State: stateOf(s.state), PID: int(s.pid), Library: s.library}
	r.Name, _ = winbytes.Text16(s.name)
	r.Display, _ = winbytes.Text16(s.display)
	if s.refused {
		r.Start, r.Unread = "unknown", []string{"config"}
		return r
	}
	r.Start = named(s.start, "boot", "system", "auto", "demand", "disabled")
	r.Command, _ = winbytes.Text16(s.command)
	r.Account, _ = winbytes.Text16(s.account)
	return r
}

// serviceKind is SERVICE_… of dwServiceType (winnt.h); 0x100 may stand beside it.
func serviceKind(n uint32) string {
	names := map[uint32]string{1: "kernel_driver", 2: "file_system_driver", 4: "adapter", 8: "recognizer_driver", 0x10: "own_process", 0x20: "share_process", 0x50: "user_own_process", 0x60: "user_share_process", 0xd0: "user_own_process", 0xe0: "user_share_process"}
	if s := names[n&^0x100]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

func stateOf(n uint32) string {
	return named(n, "0", "stopped", "start_pending", "stop_pending", "running", "continue_pending", "pause_pending", "paused")
}

func named(n uint32, names ...string) string {
	if n < uint32(len(names)) {
		return names[n]
	}
	return fmt.Sprint(n)
}
