package beyond

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/registry"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"

	"hozen/internal/winapi/adapters"
)

// routing stands in Forwarding for the setting IPEnableRouter of the network stack.
const routing = "IPEnableRouter"

// fresh is how long what was found counts: somebody looks every few seconds.
const fresh = 30 * time.Second

// Looker finds out what is beyond the filters of this PC, now and then.
type Looker struct {
	mu   sync.Mutex
	last []string
	at   time.Time
}

// Limits returns what [Facts.Limits] says, at most half a minute old.
func (l *Looker) Limits(context.Context) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.at.IsZero() || time.Since(l.at) > fresh {
		l.last, l.at = Look().Limits(), time.Now()
	}
	return l.last
}

// Look finds out. What cannot be read stands in Unread.
func Look() (f Facts) {
	var err error
	note := func(what string, err error) {
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			f.Unread = append(f.Unread, fmt.Sprintf("%s (%v)", what, err))
		}
	}
	f.Adapters, err = adapters.List()
	note("network adapters", err)
	f.Running, err = running(services)
	note("services of virtual machines", err)
	f.Forwarding, err = running(forwarders)
	note("services that connect others to the network", err)
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, parameters, registry.QUERY_VALUE); err == nil {
		if on, _, err := k.GetIntegerValue(routing); err == nil && on != 0 {
			f.Forwarding = append(f.Forwarding, routing)
		}
		_ = k.Close()
	}
	note("settings of accounts", f.accounts())
	if k, err := registry.OpenKey(registry.LOCAL_MACHINE, settings+`\Connections`, registry.QUERY_VALUE); err == nil {
		if b, _, err := k.GetBinaryValue("WinHttpSettings"); err == nil {
			f.proxy(winHTTP(b))
		}
		_ = k.Close()
	}
	return f
}

const parameters = `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters`

const settings = `Software\Microsoft\Windows\CurrentVersion\Internet Settings`

func (f *Facts) proxy(s string) {
	if s = strings.TrimSpace(s); s != "" {
		f.Proxies = append(f.Proxies, s)
	}
}

// running asks the service control manager, which lets everybody ask, which of some services
// run.
func running(services map[string]string) (names []string, err error) {
	h, err := windows.OpenSCManager(nil, nil, windows.SC_MANAGER_CONNECT)
	if err != nil {
		return nil, err
	}
	m := &mgr.Mgr{Handle: h}
	defer m.Disconnect()
	for name := range services {
		p, err := windows.UTF16PtrFromString(name)
		if err != nil {
			return names, err
		}
		h, err := windows.OpenService(m.Handle, p, windows.SERVICE_QUERY_STATUS)
		if err != nil {
			continue // there is none
		}
		s := &mgr.Service{Name: name, Handle: h}
		if st, err := s.Query(); err == nil && st.State != svc.Stopped {
			names = append(names, name)
		}
		_ = s.Close()
	}
	return names, nil
}

// accounts reads what is set for the accounts whose settings are loaded: those that are
// signed in, and those of services.
func (f *Facts) accounts() error {
	sids, err := registry.USERS.ReadSubKeyNames(-1)
	if err != nil {
		return err
	}
	for _, sid := range sids {
		if k, err := registry.OpenKey(registry.USERS, sid+`\`+settings, registry.QUERY_VALUE); err == nil {
			if on, _, err := k.GetIntegerValue("ProxyEnable"); err == nil && on != 0 {
				s, _, _ := k.GetStringValue("ProxyServer")
				f.proxy(s)
			}
			s, _, _ := k.GetStringValue("AutoConfigURL")
			f.proxy(s)
			_ = k.Close()
		}
		const lxss = `\Software\Microsoft\Windows\CurrentVersion\Lxss`
		k, err := registry.OpenKey(registry.USERS, sid+lxss, registry.ENUMERATE_SUB_KEYS)
		if err != nil {
			continue
		}
		ids, _ := k.ReadSubKeyNames(-1)
		for _, id := range ids {
			if d, err := registry.OpenKey(k, id, registry.QUERY_VALUE); err == nil {
				if name, _, err := d.GetStringValue("DistributionName"); err == nil {
					f.Distributions = append(f.Distributions, name)
				}
				_ = d.Close()
			}
		}
		_ = k.Close()
	}
	return nil
}
