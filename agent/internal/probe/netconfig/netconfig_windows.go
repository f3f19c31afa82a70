package netconfig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winsys"
	"hozen/internal/artifact/record"
)

// read asks the system and reads the hosts file. unread counts the tables that failed.
func read(ctx context.Context, _ string) (facts []record.NetConfig, unread int64, err error) {
	var sys winsys.System
	var w windowsTables
	steps := []struct {
		what string
		do   func() error
	}{
		{"neighbours", func() (err error) { w.neighbours, err = table(sys.Neighbours, winbytes.Neighbours); return err }},
		{"interfaces", func() (err error) { w.interfaces, err = table(sys.Interfaces, winbytes.Interfaces); return err }},
		{"addresses", func() (err error) { w.addresses, err = table(sys.Addresses, winbytes.Addresses); return err }},
		{"routes", func() (err error) { w.routes, err = table(sys.Routes, winbytes.Routes); return err }},
	}
	note := func(what string, serr error) {
		if serr != nil {
			unread++
			err = errors.Join(err, fmt.Errorf("read %s: %w", what, serr))
		}
	}
	for _, s := range steps {
		if ctx.Err() != nil {
			return w.records(), unread + 1, ctx.Err()
		}
		note(s.what, s.do())
	}
	facts = w.records()
	resolvers, rerr := sys.Resolvers()
	note("resolvers", rerr)
	for _, r := range resolvers {
		if len(r.Nameservers)+len(r.Suffixes) == 0 {
			continue
		}
		name, _ := winbytes.Text16(r.Name)
		facts = append(facts, record.NetConfig{Type: record.NetDNS, IfIndex: int(r.Index), Iface: name, Nameservers: r.Nameservers, Search: r.Suffixes})
	}
	hosts, herr := hostsFile()
	note("hosts file", herr)
	return append(facts, hosts...), unread, err
}

func table[T any](ask func() ([]byte, error), parse func([]byte) ([]T, error)) ([]T, error) {
	b, err := ask()
	if err != nil {
		return nil, err
	}
	return parse(b)
}

// hostsFile reads %SystemRoot%\System32\drivers\etc\hosts; none is none.
func hostsFile() ([]record.NetConfig, error) {
	dir, err := windows.GetSystemDirectory()
	if err != nil {
		return nil, fmt.Errorf("GetSystemDirectory: %w", err)
	}
	path := dir + `\drivers\etc\hosts`
	f, err := winsys.Open(path, true)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxHosts+1))
	if err != nil {
		return nil, err
	}
	return parseHosts(path, b[:min(len(b), maxHosts)], len(b) > maxHosts), nil
}
