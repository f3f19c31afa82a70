package pkgcheck

import (
	"slices"
	"strings"
	"testing"
)

const sum = "d41d8cd98f00b204e9800998ecf8427e"

func TestParseSum(t *testing.T) {
	for line, want := range map[string]string{
		sum + "  usr/bin/ls": "usr/bin/ls", sum + " *usr/bin/a b": "usr/bin/a b", strings.ToUpper(sum) + "  x": "x", sum + "  caf\xe9": "caf\xe9",
		sum + "  ../../proc/kcore": "proc/kcore", sum + "  /etc/x\r": "etc/x",
		sum + " x": "", sum: "", "": "", "x" + sum[1:] + "  y": "", sum + "  a\x00b": "", sum + "  ..": "",
	} {
		l, ok := parseSum([]byte(line))
		if ok != (want != "") || ok && (l.path != want || l.md5 != sum) {
			t.Errorf("%q: %+v, %v", line, l, ok)
		}
	}
}

func TestParseStatus(t *testing.T) {
	text := "Package: a\nStatus: install ok installed\nConffiles:\n /etc/a " + sum + "\n /etc/gone " + sum + " obsolete\n /etc/with blank " + sum +
		"\n /etc/odd newconffile\nDescription: x\n /etc/no " + sum + "\n\nPackage: b\nStatus: deinstall ok config-files\nConffiles:\n /etc/b " + sum + "\n\nPackage: c\nStatus: install ok installed\n"
	var got []string
	n := parseStatus([]byte(text), func(c conffile) { got = append(got, c.pkg+" "+c.path) })
	if !slices.Equal(n, []string{"a", "c"}) || !slices.Equal(got, []string{"a etc/a", "a etc/with blank"}) {
		t.Errorf("%q, %q", n, got)
	}
}

func TestDiversionsAndExclusions(t *testing.T) {
	d := parseDiversions([]byte("/bin/sh\n/bin/sh.distrib\ndash\n/usr/x\n/usr/x.real\n:\n/cut\n"))
	if len(d) != 2 || d["bin/sh"] != (diversion{"bin/sh.distrib", "dash"}) || d["usr/x"].pkg != ":" {
		t.Errorf("%+v", d)
	}
	list := parseExclusions([]byte("# path-exclude=/no\npath-exclude=/usr/share/doc/*\n path-include = /usr/share/doc/*/copyright\n--path-exclude \"/usr/share/man/*\"\nforce-unsafe-io\n"))
	for path, want := range map[string]bool{
		"/usr/share/doc/a/changelog.gz": true, "/usr/share/doc/a/copyright": false, "/usr/share/man/man1/ls.1.gz": true, "/usr/bin/ls": false,
	} {
		if excluded(list, path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}

func TestPhases(t *testing.T) {
	for path, want := range map[string]int{
		"usr/bin/sudo": programs, "sbin/init": programs, "usr/lib/x86_64-linux-gnu/libc.so.6": loaded, "lib/modules/6.1/kernel/x.ko.xz": loaded, "usr/lib/systemd/systemd": loaded,
		"usr/share/doc/x": others, "usr/lib/python3/x.py": others, "boot/vmlinuz": loaded,
	} {
		if got := phaseOf(path); got != want {
			t.Errorf("%s in phase %d, want %d", path, got, want)
		}
	}
}

func FuzzParseSum(f *testing.F) {
	f.Add([]byte(sum + "  usr/bin/ls"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if l, ok := parseSum(line); ok && (len(l.md5) != 32 || l.path == "" || l.path[0] == '/' || slices.Contains(strings.Split(l.path, "/"), "..")) {
			t.Errorf("%+v", l)
		}
	})
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte("Package: a\nStatus: install ok installed\nConffiles:\n /etc/a " + sum + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseStatus(b, func(c conffile) {
			if c.pkg == "" || c.path == "" {
				t.Errorf("%+v", c)
			}
		})
		parseDiversions(b)
		excluded(parseExclusions(b), "/usr/share/doc/x")
	})
}
