package namespace

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("type", "kind", "inode", "id")})
}

const (
	netKind = 3
	pidKind = 4
)

func TestGather(t *testing.T) {
	host := life{pid: 1, ns: [8]uint64{netKind: 4026531840, pidKind: 0xEFFFFFFC}}
	apart := life{pid: 70, ns: [8]uint64{netKind: 4026532999, pidKind: 0xEFFFFFFC}}
	all := gather([]life{host, {pid: 50, ns: host.ns}, apart, {pid: 71, ns: apart.ns}})
	all.held([]record.OpenFiles{{PID: 50, FDs: []record.FD{{Target: "net:[4026532999]"}, {Target: "net:[4026532999]"}, {Target: "socket:[12]"}, {Target: "net:[x]"}, {Target: "net:[4026533000]"}}}})
	var got []string
	for _, n := range all.sorted() {
		b, _ := json.Marshal([]any{n.Kind, n.Inode, n.Host, n.Members, n.PIDs, n.OpenBy})
		got = append(got, string(b))
	}
	want := []string{
		`["net",4026531840,"yes",2,null,null]`, `["net",4026532999,"no",2,[70,71],[50]]`, `["net",4026533000,"no",0,null,[50]]`,
		`["pid",4026531836,"yes",4,null,null]`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s", strings.Join(got, "\n"))
	}
	in := func(pid int, id string) *record.Process {
		return &record.Process{PID: pid, ContainerID: id, ContainerRuntime: "docker", Cgroup: "/docker/" + id}
	}
	list := containers([]*record.Process{in(50, ""), in(70, "abc"), in(71, "abc"), in(72, "def")}, all)
	if len(list) != 2 || list[0].ID != "abc" || list[0].Members != 2 || !slices.Equal(list[0].Namespaces, []int64{4026532999}) || list[1].Namespaces != nil {
		t.Errorf("%+v", list)
	}
	// Who may not see the first process knows the kernel's own numbers.
	blind := gather([]life{{pid: 50, ns: host.ns}, apart, {pid: 60, ns: [8]uint64{pidKind: 4026532000}}})
	for _, n := range blind.sorted() {
		want := "unknown"
		switch {
		case n.Kind == "pid" && n.Inode == 0xEFFFFFFC:
			want = "yes"
		case n.Kind == "pid":
			want = "no"
		}
		if n.Host != want {
			t.Errorf("%+v", n)
		}
	}
}

const containerMounts = `500 400 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A:/var/lib/docker/a\134:b,upperdir=/var/lib/docker/overlay2/c/diff,workdir=/w\040x
501 500 0:60 / /proc rw - proc proc rw
502 500 0:4 net:[4026532999] /run/netns/blue rw - nsfs nsfs rw
503 500 0:4 evil:[1] /run/netns/x rw - nsfs nsfs rw
`

func TestMounts(t *testing.T) {
	var n record.Namespace
	root([]byte(containerMounts), &n)
	if n.MountsSeen != 4 || n.RootFS != "overlay" || n.RootDev != "0:55" || n.Upper != "/var/lib/docker/overlay2/c/diff" || n.Work != "/w x" ||
		!slices.Equal(n.Lower, []string{"/var/lib/docker/overlay2/l/A", "/var/lib/docker/a:b"}) {
		t.Errorf("%+v", n)
	}
	all := gather(nil)
	all.mounted([]byte(containerMounts))
	if list := all.sorted(); len(list) != 1 || list[0].Inode != 4026532999 || !slices.Equal(list[0].Mounts, []string{"/run/netns/blue"}) {
		t.Errorf("%+v", list)
	}
}

// TestNamesThatAreNoText keep their bytes, and so do those beside them.
func TestNamesThatAreNoText(t *testing.T) {
	var n record.Namespace
	root([]byte("5 4 0:55 /r\xff / rw - overlay s\xff rw,lowerdir=/a:/b\xff:/c,upperdir=/u\xff,workdir=/w\xff\n"), &n)
	var back record.Namespace
	if err := json.Unmarshal(n.AppendJSON(nil), &back); err != nil {
		t.Fatal(err)
	}
	if string(back.RootPathRaw) != "/r\xff" || string(back.RootSourceRaw) != "s\xff" || string(back.UpperRaw) != "/u\xff" || string(back.WorkRaw) != "/w\xff" ||
		string(bytes.Join(back.LowerRaw, []byte(" "))) != "/a /b\xff /c" || len(back.Lower) != 3 {
		t.Errorf("%+v", back)
	}
	all := gather(nil)
	all.mounted([]byte("1 1 0:4 net:[9] /a rw - nsfs nsfs rw\n2 1 0:4 net:[9] /b\xff rw - nsfs nsfs rw\n"))
	if list := all.sorted(); string(bytes.Join(list[0].MountsRaw, []byte(" "))) != "/a /b\xff" || len(list[0].Mounts) != 2 {
		t.Errorf("%+v", list[0])
	}
}

// TestCutMounts: a text that is too long ends with a whole line, and that is told.
func TestCutMounts(t *testing.T) {
	for limit, want := range map[int]string{3: "", 5: "aaaa\n", 7: "aaaa\n", 9: "aaaa\nbbb\n"} {
		b, problem := whole([]byte("aaaa\nbbb\n"), limit)
		if string(b) != want || (problem == "") != (limit == 9) {
			t.Errorf("%d: %q, %q", limit, b, problem)
		}
	}
}

func FuzzMounts(f *testing.F) {
	f.Add([]byte(containerMounts))
	f.Add([]byte("1 1 0:1 / / - overlay o lowerdir=\\:\\"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var n record.Namespace
		root(b, &n)
		all := gather(nil)
		all.mounted(b)
		for _, n := range append(all.sorted(), &n) {
			if len(n.Lower) > maxLayers || len(n.Mounts) > maxHolds || !json.Valid(n.AppendJSON(nil)) {
				t.Fatalf("%+v", n)
			}
		}
	})
}
