package ring_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"hozen/agent/internal/recorder/ring"
)

const killDir = "HOZEN_TEST_RING_DIR"

func killConfig(dir string) ring.Config {
	return ring.Config{Dir: dir, BootID: boot1, SegmentBytes: 16 << 10, MaxBytes: 512 << 10}
}

// TestAppendUntilKilled is the other process of TestKilledAtAnyMoment: it appends and
// flushes, and says after each Flush how far it came.
func TestAppendUntilKilled(t *testing.T) {
	dir := os.Getenv(killDir)
	if dir == "" {
		t.Skip("only as a process of its own, started by TestKilledAtAnyMoment")
	}
	r, rec, err := ring.Open(killConfig(dir))
	must(t, err)
	var next int
	for e, err := range r.Read(t.Context(), ring.ReadFrom{SinceSeq: rec.Last.Seq}) {
		must(t, err)
		next = numbers(t, []ring.Entry{e})[0]
	}
	for i := 0; ; i++ {
		n := 1 + i%40
		add(t, r, next+1, next+n)
		next += n
		must(t, r.Flush())
		fmt.Println("flushed", next)
	}
}

// TestKilledAtAnyMoment kills a process that writes without pause, again and again:
// every entry whose Flush had returned is there, and the record goes on behind it.
func TestKilledAtAnyMoment(t *testing.T) {
	dir := t.TempDir()
	kills, promised, torn, resumed := 60, 0, 0, 0
	if testing.Short() {
		kills = 5
	}
	rng := rand.New(rand.NewPCG(rand.Uint64(), 3))
	for range kills {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAppendUntilKilled$")
		cmd.Env = append(os.Environ(), killDir+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		lines := bufio.NewScanner(out)
		end := 1 + rng.IntN(30)
		for i := 0; lines.Scan(); i++ {
			if s, ok := strings.CutPrefix(lines.Text(), "flushed "); ok {
				promised, err = strconv.Atoi(s)
				must(t, err)
			} else {
				t.Fatal(lines.Text())
			}
			if i == end {
				// Not waited for: it goes on until the signal reaches it, somewhere.
				must(t, cmd.Process.Kill())
			}
		}
		cmd.Wait() // killed
		r, rec, err := ring.Open(killConfig(dir))
		must(t, err)
		if rec.TornBytes > 0 {
			torn++
		}
		if rec.Resumed {
			resumed++
		}
		entries, damage := read(t, r.Read(t.Context(), ring.ReadFrom{}))
		must(t, r.Close())
		got := numbers(t, entries)
		if rec.Damages > 0 || len(damage) > 0 {
			t.Fatalf("%v %v", rec.Damaged, damage)
		}
		newest := got[len(got)-1]
		if newest < promised || newest-got[0] != len(got)-1 {
			t.Fatalf("%d was flushed, %d is the newest of %d entries from %d on", promised, newest, len(got), got[0])
		}
	}
	if promised == 0 {
		t.Fatal("nothing was ever flushed")
	}
	t.Logf("%d kills, %d entries flushed, %d torn tails, %d times the segment was continued", kills, promised, torn, resumed)
}
