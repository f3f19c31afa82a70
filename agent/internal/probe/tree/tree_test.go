package tree_test

import (
	"strings"
	"testing"

	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact/record"
)

func TestModesAsLsShowsThem(t *testing.T) {
	for mode, want := range map[uint32]string{
		0:        "?---------",
		0o100644: "-rw-r--r--", 0o104755: "-rwsr-xr-x", 0o102644: "-rw-r-Sr--", 0o041777: "drwxrwxrwt", 0o041776: "drwxrwxrwT",
		0o120777: "lrwxrwxrwx", 0o010600: "prw-------", 0o140755: "srwxr-xr-x", 0o060660: "brw-rw----", 0o020666: "crw-rw-rw-",
	} {
		var f record.FileTimes
		st := tree.Info{Mode: mode}
		if st.Record(&f, "x", ""); f.ModeText != want {
			t.Errorf("%o is %s, want %s", mode, f.ModeText, want)
		}
		if kind, ok := map[byte]string{'-': "file", 'd': "dir", 'l': "link", 'p': "pipe", 's': "socket"}[want[0]]; ok != (f.FileKind != "device") || ok && f.FileKind != kind {
			t.Errorf("%s is a %q", want, f.FileKind)
		}
	}
	var f record.FileTimes
	st := tree.Info{Mode: 0o104755, M: tree.Stamp{Kept: true}}
	st.Record(&f, "a/\xff", "\xfe")
	if f.Modified.Unix() != 0 || f.Modified.IsZero() || !f.Born.IsZero() {
		t.Errorf("%v, %v", f.Modified, f.Born)
	}
	if f.Mode != "4755" || f.Path != "/a/\ufffd" || string(f.PathRaw) != "/a/\xff" || string(f.TargetRaw) != "\xfe" {
		t.Errorf("%+v", f)
	}
}

func TestHomeOf(t *testing.T) {
	for line, want := range map[string]string{
		"alice:x:1000:1000:Alice:/home/alice:/bin/sh": "home/alice", "root:x:0:0::/root:": "root", "a:x:1:1::/srv//b/../c:": "srv/c",
		"bin:x:2:2::/bin:": "", "www:x:33:33::/var/www:": "var/www", "nobody:x:65534:65534::/nonexistent:": "", "x:x:1:1::/:": "", "x:x:1:1:::": "",
		"evil:x:1:1::/proc/1/root:": "", "evil:x:1:1::/home/../proc/1:": "", "short:x": "", "games:x:5:60::/usr/games:": "",
	} {
		if got := tree.HomeOf([]byte(line)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func FuzzHomeOf(f *testing.F) {
	f.Add([]byte("alice:x:1000:1000:Alice:/home/alice:/bin/sh"))
	f.Fuzz(func(t *testing.T, line []byte) {
		if h := tree.HomeOf(line); h != "" && h[0] == '/' {
			t.Errorf("%q", h)
		}
	})
}

// FuzzMounts: what the kernel escapes comes from whoever mounts.
func FuzzMounts(f *testing.F) {
	f.Add([]byte("36 35 98:0 / /mnt/a\\040b rw,noatime shared:1 - nfs4 nas:/vol rw,addr=192.0.2.1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for p := range tree.Mounts(b) {
			if len(p) > len(b) {
				t.Errorf("%q is longer than all", p)
			}
		}
	})
}

func TestOneOf(t *testing.T) {
	for word, want := range map[string]bool{"ext4": true, "ext": false, "": false, "ext4 xfs": false, "xfs": true} {
		if tree.OneOf(word, "ext4 xfs") != want {
			t.Errorf("%q: %v", word, !want)
		}
	}
}

// FuzzMatch: a pattern of many stars must not take for ever.
func FuzzMatch(f *testing.F) {
	f.Add("/usr/*/doc/?", "/usr/share/doc/x")
	f.Add(strings.Repeat("*a", 40), strings.Repeat("a", 100)+"b")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if !strings.ContainsAny(pattern, "*?") && tree.Match(pattern, name) != (pattern == name) {
			t.Errorf("%q, %q", pattern, name)
		}
	})
}
