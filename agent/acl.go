package main

import "strings"

// openTo lists whom a DACL (SDDL) lets in beside the system, administrators and the
// folder's owner: groups that hold everybody who may sign in.
func openTo(sddl string) (who []string) {
	for _, ace := range strings.Split(sddl, "(")[1:] {
		f := strings.Split(strings.TrimRight(ace, ")"), ";")
		const kind, rights, trustee = 0, 2, 5 // Security Descriptor String Format, ACE Strings
		if len(f) <= trustee || !strings.HasPrefix(f[kind], "A") && !strings.HasPrefix(f[kind], "XA") && !strings.HasPrefix(f[kind], "OA") || f[rights] == "" {
			continue
		}
		switch t := f[trustee]; t {
		case "WD", "AN", "AU", "BU", "BG", "IU", "NU", "S-1-1-0", "S-1-5-7", "S-1-5-11", "S-1-5-32-545", "S-1-5-32-546", "S-1-5-4", "S-1-5-2":
			who = append(who, t)
		}
	}
	return who
}
