package netfilter

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/winsys"
)

const system = "windows"

// here reads the rules of the firewall from the registry, and asks the platform below it for
// what is in force.
func here(ctx context.Context, _ string, list List, o *facts.Out) error {
	for _, p := range places() {
		values, _, err := winsys.Registry{}.Values("HKLM", p.key)
		o.Miss(err)
		for _, v := range values {
			if err := o.Write(firewallRule(p.table, v.Name, v.Data)); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	for _, p := range profilePlaces() {
		values, _, err := winsys.Registry{}.Values("HKLM", p.key)
		o.Miss(err)
		if len(values) == 0 {
			continue
		}
		numbers := map[string]uint32{}
		for _, v := range values {
			const dword = 4 // REG_DWORD
			if v.Kind == dword && len(v.Data) == 4 {
				numbers[strings.ToLower(v.Name)] = binary.LittleEndian.Uint32(v.Data)
			}
		}
		if err := o.Write(firewallProfile(p.table, p.key, numbers)); err != nil {
			return err
		}
	}
	if list == nil {
		return ctx.Err()
	}
	filters, unread, err := list(ctx)
	if err != nil {
		o.Miss(fmt.Errorf("list filters: %w", err))
	}
	o.Missed(int64(unread), fmt.Errorf("%d filters could not be read", unread))
	for _, f := range filters {
		if err := o.Write(f.record()); err != nil {
			return err
		}
	}
	return ctx.Err()
}
