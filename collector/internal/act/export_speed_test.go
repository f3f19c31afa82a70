package act_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/act"
	"hozen/collector/internal/evidence/evidencetest"
	"hozen/collector/internal/sqldb/sqldbtest"
	"hozen/internal/artifact"
	"hozen/internal/digest"
	"hozen/internal/verify"
)

// BenchmarkPackage writes and checks packages. MB/s are sealed bytes of evidence. The mix is
// four acquisitions of PCs with 1,000 processes and 5,000 sockets each, and one image of memory that is
// still a small one; "text" is without the image, so nearly all of its work is making readable copies.
func BenchmarkPackage(b *testing.B) {
	o := newOffice(b, newFixture(b, sqldbtest.Open(b)))
	o.signing()
	pcs := []*sender{o.keiri, o.sales}
	rng := rand.New(rand.NewPCG(1, 2))
	var sealed, text, plain int64
	for n, pc := range pcs {
		for range 2 {
			pc.change = func(a *evidencetest.Acquisition) {
				for k, lines := range busy(rng) {
					a.Add(b, k, lines, int64(bytes.Count(lines, []byte{'\n'})))
					plain += int64(len(lines))
				}
			}
			text += o.deliver(pc, "volatile")
		}
		if n == 0 {
			pc.change = func(a *evidencetest.Acquisition) { addMemory(b, a, rng, 512<<20) }
			sealed = o.deliver(pc, "memory")
		}
	}
	sealed += text
	b.Logf("%d MB sealed, of which %d MB are text of %d MB", sealed/1e6, text/1e6, plain/1e6)
	dir := b.TempDir()
	for _, c := range []struct {
		name    string
		bytes   int64
		hosts   []string
		profile string
	}{{name: "mix", bytes: sealed}, {name: "text", bytes: text, profile: "volatile"}} {
		n := act.NewExport{}
		if c.profile != "" {
			n.Profiles = []string{c.profile}
		}
		r := o.order(n)
		path := filepath.Join(dir, c.name)
		b.Run("export/"+c.name, func(b *testing.B) {
			b.SetBytes(c.bytes)
			for b.Loop() {
				f, err := os.Create(path)
				ok(b, err)
				_, err = o.WriteExport(b.Context(), o.owner, r.Number, f)
				ok(b, err)
				ok(b, f.Close())
			}
		})
		b.Run("verify/"+c.name, func(b *testing.B) {
			b.SetBytes(c.bytes)
			for b.Loop() {
				got, err := verify.Package(b.Context(), path, verify.PackageAnchor{Anchor: verify.Anchor{CASHA256: o.ca.Fingerprint()}})
				if err != nil || got.Verdict != verify.Verified {
					b.Fatalf("%v, %s %+v", err, got.Verdict, got.Problems)
				}
			}
		})
	}
}

// deliver sends what change makes, in large pieces, and returns its stored bytes.
func (o *office) deliver(pc *sender, profile string) int64 {
	o.t.Helper()
	a := pc.endpoint.Acquisition(o.t, 0)
	a.Manifest.Profile, a.Manifest.CommandID, a.Manifest.Host.Hostname = profile, "", pc.hostname
	a.Manifest.Probes = []artifact.ProbeOutcome{{Kind: artifact.KindSession, StartedAt: a.Manifest.StartedAt, Outcome: artifact.Empty}}
	pc.change(a)
	pc.endpoint.Sign(o.t, a)
	u, err := o.intake.Begin(o.t.Context(), pc.endpoint.ID, a.Manifest.AcquisitionID)
	ok(o.t, err)
	defer u.Close()
	var all int64
	for name, b := range a.Parts {
		ok(o.t, u.Part(name, 0, nil))
		for off := 0; off < len(b); off += 256 << 10 {
			ok(o.t, u.Write(b[off:min(off+256<<10, len(b))]))
		}
		sum := digest.Of(b)
		ok(o.t, u.EndPart(int64(len(b)), sum[:]))
		all += int64(len(b))
	}
	_, err = u.Seal(o.t.Context(), a.Raw, a.Signature, a.Certificate)
	ok(o.t, err)
	return all
}

// busy is what the large probes write on a PC with 1,000 processes and 5,000 sockets.
func busy(rng *rand.Rand) map[artifact.Kind][]byte {
	out := map[artifact.Kind][]byte{}
	line := func(k artifact.Kind, format string, args ...any) {
		out[k] = append(fmt.Appendf(out[k], format, args...), '\n')
	}
	names := []string{"systemd", "sshd", "kworker/0:1", "chrome", "Web Content", "postgres", "java", "nginx", "containerd-shim", "gnome-shell", "経理ソフト"}
	const boot = "5d0b6e4b-4c5b-4b0e-9f52-5a5b1d0f7c11"
	for pid := 1; pid <= 1000; pid++ {
		comm := names[rng.IntN(len(names))]
		ticks := rng.IntN(1 << 24)
		exe := fmt.Sprintf("/usr/lib/%s/%s", comm, comm)
		line(artifact.KindProcess, `{"pid":%d,"ppid":%d,"pgid":%d,"sid":%d,"start_ticks":%d,"boot_id":"%s","comm":"%s","state":"S","threads":%d,"rss_bytes":%d,"cpu_ticks":%d,"cap_eff":"0000000000000000","started_at_derived":"2026-11-22T0%d:%02d:%02d.%02dZ","args":["%s","--type=renderer","--field-trial-handle=%x","--lang=ja","-c","/etc/%s/%s.conf"],"exe":"%s","cwd":"/home/user%d","uid":%d,"user":"user%d","euid":%d,"gid":%d,"egid":%d,"cgroup":"/user.slice/user-%d.slice/session-%d.scope","ns_net":4026531840,"ns_pid":4026531836,"ns_mnt":4026531841,"ns_user":4026531837}`,
			pid, rng.IntN(pid+1), pid, pid, ticks, boot, comm, rng.IntN(40), rng.IntN(1<<30), rng.IntN(1<<20), rng.IntN(9), rng.IntN(60), rng.IntN(60), rng.IntN(100), exe, rng.Uint64(), comm, comm, exe, pid%7, 1000+pid%7, pid%7, 1000+pid%7, 1000, 1000, 1000+pid%7, pid%90)
		var fds, maps []string
		for fd := range 5 + rng.IntN(30) {
			fds = append(fds, fmt.Sprintf(`{"fd":%d,"target":"%s"}`, fd, []string{"/dev/null", fmt.Sprintf("socket:[%d]", rng.IntN(1<<20)), fmt.Sprintf("/home/user%d/.cache/%x", pid%7, rng.Uint32()), "anon_inode:[eventpoll]"}[rng.IntN(4)]))
		}
		line(artifact.KindOpenFile, `{"pid":%d,"start_ticks":%d,"comm":"%s","fds":[%s]}`, pid, ticks, comm, strings.Join(fds, ","))
		at := uint64(0x7f0000000000) + rng.Uint64N(1<<36)
		for n := range 40 + rng.IntN(60) {
			size := uint64(1+rng.IntN(200)) << 12
			maps = append(maps, fmt.Sprintf(`{"start":"%x","end":"%x","perms":"r-xp","object":%d}`, at, at+size, n/4))
			at += size
		}
		line(artifact.KindProcMap, `{"pid":%d,"start_ticks":%d,"comm":"%s","objects":[{"dev":"fd:00","inode":%d,"path":"%s","exec":true},{"dev":"fd:00","inode":%d,"path":"/usr/lib/x86_64-linux-gnu/libc.so.6","exec":true}],"maps":[%s]}`, pid, ticks, comm, rng.IntN(1<<20), exe, rng.IntN(1<<20), strings.Join(maps, ","))
		line(artifact.KindProcState, `{"pid":%d,"start_ticks":%d,"comm":"%s","unit":"%s.service","slice":"system.slice","cap_inh":"0","cap_prm":"1ffffffffff","cap_eff":"1ffffffffff","cap_bnd":"1ffffffffff","seccomp":0,"no_new_privs":false,"umask":18,"label":"unconfined","login_uid":-1,"session_id":%d,"oom_score_adj":0}`, pid, ticks, comm, comm, rng.IntN(50))
	}
	for n := range 5000 {
		line(artifact.KindNetConn, `{"ns_net":4026531840,"source":"sock_diag","family":"inet","proto":"tcp","state":"ESTABLISHED","local_addr":"10.%d.%d.%d","local_port":%d,"remote_addr":"%d.%d.%d.%d","remote_port":443,"inode":%d,"uid":%d,"user":"user%d","owners":[{"pid":%d,"start_ticks":%d,"comm":"%s","fd":%d}]}`,
			rng.IntN(256), rng.IntN(256), rng.IntN(256), 1024+n, 1+rng.IntN(220), rng.IntN(256), rng.IntN(256), rng.IntN(256), rng.IntN(1<<22), 1000+n%7, n%7, 1+rng.IntN(1000), rng.IntN(1<<24), names[rng.IntN(len(names))], rng.IntN(200))
	}
	for range 400 {
		line(artifact.KindExeHash, `{"path":"/usr/bin/%x","dev":64768,"inode":%d,"size":%d,"mtime":"2026-05-01T10:00:00Z","ctime":"2026-05-01T10:00:00Z","uid":0,"sha256":"%016x%016x%016x%016x","processes":[{"pid":%d,"start_ticks":%d}]}`,
			rng.Uint32(), rng.IntN(1<<22), rng.IntN(1<<24), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.IntN(1000), rng.IntN(1<<24))
	}
	for seq := range 8000 {
		line(artifact.KindFlight, `{"event":"process_started","seq":%d,"source":"proc_connector","at":"2026-11-22T09:%02d:%02d.%09dZ","boot_ns":%d,"how":"exec","pid":%d,"ppid":%d,"start_ticks":%d,"uid":%d,"euid":%d,"comm":"%s","exe":"/usr/bin/%s","args":["%s","-c","run-parts --report /etc/cron.hourly"],"exit_code":-1}`,
			seq, rng.IntN(60), rng.IntN(60), rng.IntN(1e9), rng.Uint64N(1<<50), 1000+seq, rng.IntN(1000), rng.IntN(1<<24), seq%7, seq%7, names[seq%len(names)], names[seq%len(names)], names[seq%len(names)])
	}
	return out
}

// addMemory adds an image as memory compresses: some of it zeros, some text and tables, some
// of it random.
func addMemory(b testing.TB, a *evidencetest.Acquisition, rng *rand.Rand, size int) {
	b.Helper()
	tables := busy(rng)[artifact.KindProcMap]
	noise := rand.NewChaCha8([32]byte{1})
	var stored bytes.Buffer
	enc, err := zstd.NewWriter(&stored, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
	ok(b, err)
	plain := digest.NewWriter(enc)
	page := make([]byte, 64<<10)
	for plain.Size() < int64(size) {
		switch n := rng.IntN(10); {
		case n < 3:
			clear(page)
		case n < 6:
			copy(page, tables[rng.IntN(len(tables)-len(page)):])
		default:
			_, _ = noise.Read(page)
		}
		_, err := plain.Write(page)
		ok(b, err)
	}
	ok(b, enc.Close())
	const kind = artifact.KindMemory
	name := "artifacts/memory.lime.zst"
	a.Parts[name] = stored.Bytes()
	sum := digest.Of(stored.Bytes())
	a.Manifest.Artifacts = append(a.Manifest.Artifacts, artifact.Entry{Name: name, Kind: kind, Schema: "hozen.memory/1", Records: 1, Compression: "zstd", Envelope: artifact.Envelope{Scheme: "none"},
		Plain: artifact.Content{SHA256: plain.Sum().String(), Size: plain.Size()}, Stored: artifact.Content{SHA256: sum.String(), Size: int64(stored.Len())}})
	a.Manifest.Probes = append(a.Manifest.Probes, artifact.ProbeOutcome{Kind: kind, StartedAt: a.Manifest.StartedAt, Outcome: artifact.Complete, Records: 1})
}
