package export

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/internal/digest"
)

// memory is a source of evidence.
type memory struct {
	files map[string]string // by SHA-256
	fail  error             // of every read
}

func (m memory) Open(_ context.Context, sum string) (io.ReadCloser, error) {
	if m.fail != nil {
		return io.NopCloser(io.MultiReader(strings.NewReader("{"), broken{m.fail})), nil
	}
	return io.NopCloser(strings.NewReader(m.files[sum])), nil
}

func (memory) Sealed(context.Context, string) (Sealed, error) { return Sealed{}, nil }

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func packed(t *testing.T, items map[string]string, hosts ...string) (*Package, memory) {
	t.Helper()
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	p := &Package{}
	p.Number, p.At = "INC-1-P01", at
	m := memory{files: map[string]string{}}
	for _, h := range hosts {
		p.Frozen.Hosts = append(p.Frozen.Hosts, Host{EndpointID: "end_" + h, Folder: h, Hostname: h})
		a := Acquisition{ID: "acq_" + h, EndpointID: "end_" + h, StartedAt: at, FinishedAt: at}
		for name, text := range items {
			sum := digest.Of([]byte(text)).String()
			m.files[sum] = text
			a.Items = append(a.Items, Item{Number: "E", Name: name, Kind: "process", Compression: "none", PlainSize: int64(len(text)), PlainSHA256: sum, StoredSHA256: sum})
		}
		p.Acquisitions = append(p.Acquisitions, a)
	}
	return p, m
}

func names(t *testing.T, b []byte) []string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, f := range z.File {
		out = append(out, f.Name)
	}
	return out
}

// Two artifacts of one kind, and folders one of which begins like the other, end no package.
func TestNamesThatMeet(t *testing.T) {
	p, m := packed(t, map[string]string{"artifacts/process.jsonl": "{}\n", "artifacts/process.jsonl.zst": "{\"pid\":1}\n"}, "pc_1", "pc_1-2")
	var b bytes.Buffer
	if err := Write(t.Context(), &b, p, m); err != nil {
		t.Fatal(err)
	}
	all := names(t, b.Bytes())
	for _, h := range []string{"pc_1", "pc_1-2"} {
		for _, n := range []string{"sealed/acq_" + h + "/artifacts/process.jsonl", "sealed/acq_" + h + "/artifacts/process.jsonl.zst", "decoded/acq_" + h + "/process.jsonl"} {
			if n = "INC-1-P01/data/hosts/" + h + "/" + n; !slices.Contains(all, n) {
				t.Errorf("there is no %s in %v", n, all)
			}
		}
	}
}

// Bytes that cannot be read are our trouble: they end a package, for it would lack evidence.
func TestUnreadableBytesEndAPackage(t *testing.T) {
	p, m := packed(t, map[string]string{"artifacts/process.jsonl": "{}\n"}, "pc")
	m.fail = errors.New("the disk is gone")
	if err := Write(t.Context(), io.Discard, p, m); !errors.Is(err, m.fail) {
		t.Errorf("%v", err)
	}
}

// The timeline has a bound, each host its share, and what is left out is told.
func TestTimelineIsBounded(t *testing.T) {
	var loud strings.Builder
	for i := range 1000 {
		loud.WriteString(`{"pid":` + string(rune('1'+i%9)) + `,"boot_id":"` + strings.Repeat("b", i) + `","started_at_derived":"2026-11-22T00:00:01Z"}` + "\n")
	}
	p, m := packed(t, map[string]string{"artifacts/process.jsonl": loud.String()}, "loud")
	quiet, more := packed(t, map[string]string{"artifacts/process.jsonl": "{\"pid\":1,\"started_at_derived\":\"2026-11-22T00:00:01Z\"}\n"}, "quiet")
	p.Frozen.Hosts = append(p.Frozen.Hosts, quiet.Frozen.Hosts...)
	p.Acquisitions = append(p.Acquisitions, quiet.Acquisitions...)
	for sum, text := range more.files {
		m.files[sum] = text
	}
	var b bytes.Buffer
	x := &writer{ctx: t.Context(), p: p, src: m, bag: newBag(t.Context(), &b, p.Number, p.At), mostTimeline: 20 << 10}
	x.doc = documentOf(p)
	if err := x.timeline(); err != nil {
		t.Fatal(err)
	}
	if err := x.bag.end(); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var left []string
	for _, l := range lines {
		if strings.Contains(l, `"lines left out"`) {
			left = append(left, l)
		}
	}
	if len(text) > 21<<10 || len(left) != 1 || !strings.Contains(left[0], `"hostname":"loud"`) || strings.Count(string(text), `"hostname":"quiet"`) != 3 {
		t.Errorf("%d bytes, %d lines: %s", len(text), len(lines), left)
	}
}

// Addresses as long as lines don't make a file that its verifier refuses.
func TestObservedIsBounded(t *testing.T) {
	o := newObserved()
	long := strings.Repeat("a", 40<<20)
	for _, s := range []string{"1", "2", "3", "4"} {
		o.add(&Item{}, &Acquisition{}, sighting{"ip", s + long, "end", "", ""})
	}
	if len(o.rows) != 3 || o.more != 1 {
		t.Errorf("%d rows, %d left out", len(o.rows), o.more)
	}
}
