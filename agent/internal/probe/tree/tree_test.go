package tree_test

import (
	"testing"

	"hozen/agent/internal/probe/tree"
)

func TestModesAsLsShowsThem(t *testing.T) {
	for mode, want := range map[uint32]string{
		0o100644: "-rw-r--r--", 0o104755: "-rwsr-xr-x", 0o102644: "-rw-r-Sr--", 0o041777: "drwxrwxrwt", 0o041776: "drwxrwxrwT",
		0o120777: "lrwxrwxrwx", 0o010600: "prw-------", 0o140755: "srwxr-xr-x", 0o060660: "brw-rw----", 0o020666: "crw-rw-rw-",
	} {
		if got := (tree.Info{Mode: mode}).Record("x", "").ModeText; got != want {
			t.Errorf("%o is %s, want %s", mode, got, want)
		}
	}
	f := (tree.Info{Mode: 0o104755}).Record("a/\xff", "\xfe")
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
