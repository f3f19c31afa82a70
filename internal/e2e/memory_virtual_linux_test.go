package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/machine"
)

// TestMemoryOfAVirtualPC orders an image of a PC's memory: first with a disk that has no
// room for it, then with one that has. What a process holds in its memory is in it.
func TestMemoryOfAVirtualPC(t *testing.T) {
	soakOnly(t)
	ctx := within(t, 4*virtualPatience)
	p := newVirtualPCOf(t, ctx, 384, machine.VirtualBookworm(), 10*time.Second)
	take := func(n int) *machine.Evidence {
		t.Helper()
		if cmd := p.order(t, ctx, "acquire", map[string]any{"profile": "memory"}); cmd.Status != "done" {
			t.Fatalf("it ended as %s: %s", cmd.Status, cmd.Detail)
		}
		return p.received(t, ctx, artifact.TriggerCommand, n)
	}
	restart := func(free string) {
		t.Helper()
		p.run(t, ctx, "sh", "-c", `sed -i '/^\[spool\]/,$d' /etc/hozen/agent.toml && printf '[spool]\nmin_free_bytes = %d\n' `+free+` >> /etc/hozen/agent.toml && systemctl restart hozen-agent`)
		p.awaitConnected(t, ctx)
	}
	restart(`$(($(df --output=avail -B1 /var/lib | tail -n1) - 400000000))`) // enough for all else
	e := take(1)
	if o, _ := e.Probe(artifact.KindMemory); o.Outcome != artifact.Denied || o.Records != 0 || !strings.Contains(o.Detail, "no room") {
		t.Errorf("without room: %+v", o)
	}
	restart("0")
	// Nobody ever spells the mark in one piece but the process that holds it.
	const one, two = "planted-by-", "a-test-of-memory"
	must(t, p.m.Start(ctx, "sh", "-c", "MARK=$(printf %s%s "+one+" "+two+") exec sleep 900"))
	began := time.Now()
	e = take(2)
	t.Logf("taken and received in %s", time.Since(began).Round(time.Second))
	for _, k := range []artifact.Kind{artifact.KindMemory, artifact.KindMemRange, artifact.KindKernel} {
		if o, _ := e.Probe(k); o.Outcome != artifact.Complete {
			t.Errorf("%s: %+v", k, o)
		}
	}
	for _, k := range []artifact.Kind{artifact.KindKallsyms, artifact.KindBTF} { // a processor that is only played takes long
		if o, _ := e.Probe(k); o.Outcome != artifact.Complete && o.Outcome != artifact.TimedOut || o.Records != 1 {
			t.Errorf("%s: %+v", k, o)
		}
	}
	held, found := readImage(t, filepath.Join(e.Dir, "artifacts", "memory.lime.zst"), []byte(one+two))
	if !found {
		t.Error("what a process held in its memory is not in the image")
	}
	kernel, err := machine.Records[record.Kernel](e, artifact.KindKernel)
	must(t, err)
	ranges, err := machine.Records[struct{ Image, Zeroed int64 }](e, artifact.KindMemRange)
	must(t, err)
	var told int64
	for _, r := range ranges {
		told += r.Image
	}
	if held != told || held != kernel[0].SystemRAM || !strings.Contains(kernel[0].VMCoreInfo, "OSRELEASE=") || kernel[0].BuildID == "" {
		t.Errorf("%d bytes are in the image, %d in its table; the kernel: %+v", held, told, kernel)
	}
	foot, err := machine.Records[record.Footprint](e, artifact.KindFootprint)
	must(t, err)
	o, _ := e.Probe(artifact.KindMemory)
	t.Logf("%d MB in %s, peak memory of the agent %d bytes", held/1e6, time.Duration(o.DurationNS).Round(time.Second), foot[0].MaxRSSBytes)
	if os.Getenv(raceVar) == "" && foot[0].MaxRSSBytes > peakMemory {
		t.Errorf("the agent used %d bytes of memory", foot[0].MaxRSSBytes)
	}
	p.clean(t, ctx)
}

// readImage reads an image of memory (LiME, version 1), and returns how many bytes of
// memory it holds and whether mark is among them.
func readImage(t *testing.T, file string, mark []byte) (held int64, found bool) {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	z, err := zstd.NewReader(f)
	must(t, err)
	defer z.Close()
	var head [32]byte
	for next := uint64(0); ; {
		if _, err := io.ReadFull(z, head[:]); errors.Is(err, io.EOF) {
			return held, found
		} else if err != nil {
			t.Fatal(err)
		}
		start, end := binary.LittleEndian.Uint64(head[8:]), binary.LittleEndian.Uint64(head[16:])
		if binary.LittleEndian.Uint32(head[:]) != 0x4C694D45 || binary.LittleEndian.Uint32(head[4:]) != 1 || start < next || end < start || end-start >= 1<<30 {
			t.Fatalf("%x is no header behind %x", head, next)
		}
		b := make([]byte, end-start+1)
		_, err := io.ReadFull(z, b)
		must(t, err)
		held, found, next = held+int64(len(b)), found || bytes.Contains(b, mark), end+1
	}
}
