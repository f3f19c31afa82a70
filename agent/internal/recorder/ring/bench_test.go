package ring_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"hozen/agent/internal/recorder/ring"
)

// events look like what a recorder writes: process starts and ends, connections.
func events(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	exes := []string{"/usr/bin/dash", "/usr/bin/git", "/usr/lib/systemd/systemd-journald", "/usr/bin/python3.11", "/opt/corp/updater"}
	var out [][]byte
	for i := range n {
		switch i % 3 {
		case 0:
			out = append(out, fmt.Appendf(nil, `{"t":"exec","pid":%d,"ppid":%d,"exe":%q,"cmdline":["%[3]s","-c","job --id=%x --path=/home/u%d/work"],"uid":%d}`,
				1000+rng.IntN(60000), 1000+rng.IntN(60000), exes[rng.IntN(len(exes))], rng.Uint64(), rng.IntN(50), 1000+rng.IntN(3)))
		case 1:
			out = append(out, fmt.Appendf(nil, `{"t":"exit","pid":%d,"code":%d}`, 1000+rng.IntN(60000), rng.IntN(3)))
		default:
			out = append(out, fmt.Appendf(nil, `{"t":"close","proto":"tcp","local":"10.1.2.3:%d","remote":"203.0.113.%d:443","inode":%d,"rx":%d,"tx":%d}`,
				32768+rng.IntN(28000), rng.IntN(256), rng.IntN(1<<24), rng.IntN(1<<20), rng.IntN(1<<20)))
		}
	}
	return out
}

func benchRing(b *testing.B, entries, flushEach int) {
	payloads := events(entries)
	bytes := 0
	for _, p := range payloads {
		bytes += len(p)
	}
	r, _, err := ring.Open(ring.Config{Dir: b.TempDir(), BootID: boot1})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.ReportAllocs()
	for b.Loop() {
		for i, p := range payloads {
			if err := r.Append(1, at(i), p); err != nil {
				b.Fatal(err)
			}
			if (i+1)%flushEach == 0 {
				if err := r.Flush(); err != nil {
					b.Fatal(err)
				}
			}
		}
		if err := r.Flush(); err != nil {
			b.Fatal(err)
		}
	}
	written := float64(r.Stats().Written) / float64(b.N)
	b.ReportMetric(written, "diskB/op")
	b.ReportMetric(written/float64(entries), "diskB/entry")
	b.ReportMetric(float64(bytes)/float64(entries), "payloadB/entry")
}

// BenchmarkQuiet is the batch of 10 s on an ordinary PC.
func BenchmarkQuiet(b *testing.B) { benchRing(b, 20, 20) }

// BenchmarkStorm is 10 s of 2,500 entries a second, flushed when the buffer is half full.
func BenchmarkStorm(b *testing.B) { benchRing(b, 25_000, 2000) }
