package main

import "testing"

func TestCleanMapping(t *testing.T) {
	const program = "/usr/bin/hozen-agent"
	for line, want := range map[string]bool{
		"00400000-00a40000 r-xp 00000000 fe:00 10388197                           /usr/bin/hozen-agent": true,
		"00a40000-010bc000 r--p 00640000 fe:00 10388197                           /usr/bin/hozen-agent": true,
		"010bc000-01128000 rw-p 00cbc000 fe:00 10388197                           /usr/bin/hozen-agent": false,
		"7f0000000000-7f0000001000 r--p 00000000 fe:00 1                          /etc/passwd":          false,
		"c000000000-c000400000 rw-p 00000000 00:00 0 ":                                                  false,
		"garbage": false,
	} {
		if _, _, ok := cleanMapping(line, program); ok != want {
			t.Errorf("%q: %v", line, ok)
		}
	}
	releaseMemory() // and the program goes on
}
