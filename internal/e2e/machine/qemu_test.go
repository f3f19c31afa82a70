package machine

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLoadOrder(t *testing.T) {
	const deps = `kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
`
	got, err := loadOrder(deps, "kernel/drivers/char/virtio_console.ko\n", []string{"virtio_pci", "virtio_console", "virtio_blk"})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range got {
		names = append(names, p[strings.LastIndex(p, "/")+1:])
	}
	if want := []string{"virtio.ko", "virtio_ring.ko", "virtio_pci_modern_dev.ko", "virtio_pci.ko", "virtio_blk.ko"}; !slices.Equal(names, want) {
		t.Errorf("order %v, want %v", names, want)
	}
	if _, err := loadOrder(deps, "", []string{"ext4"}); err == nil {
		t.Error("a module that is not there: no error")
	}
}

// TestArchive unpacks an archive with the kernel's own alignment.
func TestArchive(t *testing.T) {
	a := newArchive()
	a.add("dir", modeDir|0o755, nil)
	a.add("dir/file", modeFile|0o644, []byte("12345"))
	b, err := a.close()
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for at := 0; ; {
		var size, name int
		if _, err := fmt.Sscanf(string(plain[at+54:at+62])+" "+string(plain[at+94:at+102]), "%x %x", &size, &name); err != nil || string(plain[at:at+6]) != "070701" {
			t.Fatalf("header at %d: %q, %v", at, plain[at:at+110], err)
		}
		entry := string(plain[at+110 : at+110+name-1])
		at = (at + 110 + name + 3) &^ 3
		got = append(got, entry+"="+string(plain[at:at+size]))
		at = (at + size + 3) &^ 3
		if entry == "TRAILER!!!" {
			break
		}
	}
	if want := []string{"dir=", "dir/file=12345", "TRAILER!!!="}; !slices.Equal(got, want) {
		t.Errorf("archive holds %q, want %q", got, want)
	}
}

func TestWordsReachAShell(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("sh is not installed")
	}
	cmd := []string{"printf", "%s\n", "a b", `it's "so" $HOME`, "", "日本"}
	out, err := exec.Command(sh, "-c", words(cmd)).Output()
	if want := strings.Join(cmd[2:], "\n") + "\n"; err != nil || string(out) != want {
		t.Errorf("the shell printed %q, %v; want %q", out, err, want)
	}
}

// TestShellAnswers has a guest that answers out of order, says nonsense and goes down.
func TestShellAnswers(t *testing.T) {
	here, guest := net.Pipe()
	s := newShell(here)
	go func() {
		r := make([]byte, 4096)
		io.WriteString(guest, "up\nnonsense\n7 !!\n")
		guest.Read(r)
		io.WriteString(guest, "99 "+base64.StdEncoding.EncodeToString([]byte("not asked forx0"))+"\n")
		io.WriteString(guest, "1 "+base64.StdEncoding.EncodeToString([]byte("extra\nx3"))+"\n")
		guest.Read(r)
		guest.Close()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-s.up:
	case <-ctx.Done():
		t.Fatal("the guest is not up")
	}
	if out, code, err := s.run(ctx, "echo extra; exit 3", ""); out != "extra\n" || code != 3 || err != nil {
		t.Errorf("answer %q, %d, %v", out, code, err)
	}
	if _, _, err := s.run(ctx, "poweroff", ""); err == nil || ctx.Err() != nil {
		t.Errorf("the guest went down: %v", err)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add("1 eDA=")
	f.Add("1 ")
	f.Add("x eHg=")
	f.Fuzz(func(t *testing.T, line string) {
		n, a, err := parseAnswer(line)
		if err != nil {
			return
		}
		again := fmt.Sprintf("%d %s", n, base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%sx%d", a.out, a.code)))
		if m, b, err := parseAnswer(again); err != nil || m != n || b != a {
			t.Errorf("%q, written again %q: %d %+v, %v", line, again, m, b, err)
		}
	})
}
