package osservice

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc/eventlog"
	"golang.org/x/sys/windows/svc/mgr"
)

// Look says how the traits of the installed service stand. A caller without rights sees
// some of them as unknown.
func Look() []Trait { return traits(false) }

// Mend looks, and puts right what is wrong.
func Mend() []Trait { return traits(true) }

const serviceKey = `SYSTEM\CurrentControlSet\Services\`

// Of the recovery actions: the delays before the first, the second and every further
// start, and after how long without a failure counting begins anew.
func recoveryDelays() []time.Duration {
	return []time.Duration{5 * time.Second, 30 * time.Second, time.Minute}
}

const recoveryReset = 24 * time.Hour

// serviceRights is the service's security descriptor (SDDL; Service Security and Access
// Rights): the system and administrators may do everything, people at the PC and services
// may look. Windows' own default lets people send user-defined controls, which end this
// service, see [RehearsalCode].
const serviceRights = "D:(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;SY)(A;;CCDCLCSWRPWPDTLOCRSDRCWDWO;;;BA)(A;;CCLCSWLORC;;;IU)(A;;CCLCSWLORC;;;SU)"

// keeper is the service under the eyes of its manager.
type keeper struct {
	s    *mgr.Service
	mend bool
}

func traits(mend bool) []Trait {
	m, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return allUnknown(fmt.Errorf("open service control manager: %w", err))
	}
	defer windows.CloseServiceHandle(m)
	access := uint32(windows.SERVICE_QUERY_CONFIG | windows.SERVICE_QUERY_STATUS | windows.READ_CONTROL)
	if mend {
		access |= windows.SERVICE_CHANGE_CONFIG | windows.WRITE_DAC | windows.SERVICE_START
	}
	h, err := windows.OpenService(m, windows.StringToUTF16Ptr(Name), access)
	if err != nil {
		return allUnknown(fmt.Errorf("open service: %w", err))
	}
	defer windows.CloseServiceHandle(h)
	k := &keeper{&mgr.Service{Name: Name, Handle: h}, mend}
	return []Trait{k.preshutdown(), k.recovery(), k.nonCrash(), k.sid(), k.rights(), k.path(), k.start(), k.log()}
}

func allUnknown(err error) (all []Trait) {
	for _, id := range Traits() {
		all = append(all, Trait{ID: id, Level: Dim, Detail: err.Error()})
	}
	return all
}

// settle compares what is with what is to be, and sets it if so wished. get's error means
// that the system does not tell: Wine and old editions lack some of these. It is set all
// the same then.
func (k *keeper) settle(id, want string, get func() (string, error), set func() error) Trait {
	t := Trait{ID: id, Want: want, Level: OK}
	got, gerr := get()
	t.Got = got
	if gerr == nil && got == want {
		return t
	}
	t.Level = Bad
	if gerr != nil {
		t.Level, t.Detail = Dim, gerr.Error()
	}
	if !k.mend || set == nil {
		return t
	}
	if err := set(); err != nil {
		t.Detail = errors.Join(gerr, err).Error()
		return t
	}
	if gerr != nil {
		return t // set, and whether it is in force nobody tells
	}
	now, err := get()
	if err == nil && now == want {
		t.Level, t.Mended = OK, true
		return t
	}
	t.Detail = errors.Join(err, fmt.Errorf("it was set and is %q all the same", now)).Error()
	return t
}

// number reads and writes a setting that is one 32-bit number.
func (k *keeper) number(level uint32) (uint32, error) {
	b := make([]byte, 64)
	var n uint32
	if err := windows.QueryServiceConfig2(k.s.Handle, level, &b[0], uint32(len(b)), &n); err != nil {
		return 0, fmt.Errorf("query service configuration %d: %w", level, err)
	}
	return binary.LittleEndian.Uint32(b), nil
}

func (k *keeper) setNumber(level, n uint32) error {
	b := make([]byte, 8)
	binary.LittleEndian.PutUint32(b, n)
	if err := windows.ChangeServiceConfig2(k.s.Handle, level, &b[0]); err != nil {
		return fmt.Errorf("change service configuration %d: %w", level, err)
	}
	return nil
}

func (k *keeper) preshutdown() Trait {
	want := uint32(PreshutdownNeeded / time.Millisecond)
	return k.settle(TraitPreshutdown, fmt.Sprintf("%d ms", want), func() (string, error) {
		n, err := k.number(windows.SERVICE_CONFIG_PRESHUTDOWN_INFO)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("%d ms", n), nil
	}, func() error { return k.setNumber(windows.SERVICE_CONFIG_PRESHUTDOWN_INFO, want) })
}

func (k *keeper) sid() Trait {
	return k.settle(TraitSID, "1", func() (string, error) {
		n, err := k.number(windows.SERVICE_CONFIG_SERVICE_SID_INFO)
		if err != nil {
			return "", err
		}
		return fmt.Sprint(n), nil
	}, func() error {
		return k.setNumber(windows.SERVICE_CONFIG_SERVICE_SID_INFO, windows.SERVICE_SID_TYPE_UNRESTRICTED)
	})
}

func (k *keeper) recovery() Trait {
	var actions []mgr.RecoveryAction
	for _, d := range recoveryDelays() {
		actions = append(actions, mgr.RecoveryAction{Type: mgr.ServiceRestart, Delay: d})
	}
	spell := func(list []mgr.RecoveryAction) string {
		var words []string
		for _, a := range list {
			words = append(words, fmt.Sprintf("%d after %s", a.Type, a.Delay))
		}
		return strings.Join(words, ", ")
	}
	return k.settle(TraitRecovery, spell(actions), func() (string, error) {
		list, err := k.s.RecoveryActions()
		return spell(list), err
	}, func() error { return k.s.SetRecoveryActions(actions, uint32(recoveryReset/time.Second)) })
}

func (k *keeper) nonCrash() Trait {
	return k.settle(TraitNonCrash, "true", func() (string, error) {
		on, err := k.s.RecoveryActionsOnNonCrashFailures()
		if err != nil {
			return "", err
		}
		return fmt.Sprint(on), nil
	}, func() error { return k.s.SetRecoveryActionsOnNonCrashFailures(true) })
}

func (k *keeper) rights() Trait {
	want, err := windows.SecurityDescriptorFromString(serviceRights)
	if err != nil {
		return Trait{ID: TraitRights, Level: Dim, Want: serviceRights, Detail: err.Error()}
	}
	return k.settle(TraitRights, entries(want.String()), func() (string, error) {
		sd, err := windows.GetSecurityInfo(k.s.Handle, windows.SE_SERVICE, windows.DACL_SECURITY_INFORMATION)
		if err != nil {
			return "", fmt.Errorf("read rights of service: %w", err)
		}
		return entries(sd.String()), nil
	}, func() error {
		dacl, _, err := want.DACL()
		if err != nil {
			return err
		}
		return windows.SetSecurityInfo(k.s.Handle, windows.SE_SERVICE, windows.DACL_SECURITY_INFORMATION, nil, nil, dacl, nil)
	})
}

func (k *keeper) path() Trait {
	image, err := imagePath()
	return k.settle(TraitPath, quoted(image), imagePath, func() error {
		if err != nil {
			return err
		}
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, serviceKey+Name, registry.SET_VALUE)
		if err != nil {
			return fmt.Errorf("open service's key: %w", err)
		}
		defer key.Close()
		return key.SetExpandStringValue("ImagePath", quoted(image))
	})
}

func imagePath() (string, error) {
	key, err := registry.OpenKey(registry.LOCAL_MACHINE, serviceKey+Name, registry.QUERY_VALUE)
	if err != nil {
		return "", fmt.Errorf("open service's key: %w", err)
	}
	defer key.Close()
	s, _, err := key.GetStringValue("ImagePath")
	return s, err
}

// start is looked at and not mended: who disabled the service may have had a reason, and
// a service that is disabled does not start and mend itself.
func (k *keeper) start() Trait {
	return k.settle(TraitStart, "2", func() (string, error) {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, serviceKey+Name, registry.QUERY_VALUE)
		if err != nil {
			return "", fmt.Errorf("open service's key: %w", err)
		}
		defer key.Close()
		n, _, err := key.GetIntegerValue("Start")
		return fmt.Sprint(n), err
	}, nil)
}

const sourceKey = `SYSTEM\CurrentControlSet\Services\EventLog\Application\` + Name

// log looks for the agent's source in the event log; its messages are those of Windows'
// own EventCreate.exe, which takes numbers from 1 to 1000.
func (k *keeper) log() Trait {
	return k.settle(TraitLog, "EventCreate.exe", func() (string, error) {
		key, err := registry.OpenKey(registry.LOCAL_MACHINE, sourceKey, registry.QUERY_VALUE)
		if errors.Is(err, fs.ErrNotExist) {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("open event log's source: %w", err)
		}
		defer key.Close()
		file, _, err := key.GetStringValue("EventMessageFile")
		return file[strings.LastIndexAny(file, `\/`)+1:], err
	}, func() error {
		return eventlog.InstallAsEventCreate(Name, eventlog.Error|eventlog.Warning|eventlog.Info)
	})
}

// entries are the entries of a DACL in SDDL, without the flags of the list, which Windows
// adds to by itself.
func entries(sddl string) string {
	if i := strings.IndexByte(sddl, '('); i >= 0 {
		return sddl[i:]
	}
	return sddl
}
