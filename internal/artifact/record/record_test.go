package record_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozen/internal/artifact/record"
)

type line interface{ AppendJSON(b []byte) []byte }

func kinds() []line {
	return []line{
		new(record.Process), new(record.Socket), new(record.OpenFiles), new(record.ExeHash),
		new(record.Session), new(record.NetConfig), new(record.HostInfo), new(record.Clock),
		new(record.Preserve), new(record.Kit), new(record.Isolation), new(record.Severed),
		new(record.ProcState), new(record.ProcMap), new(record.ProcEnv), new(record.FileLock), new(record.Footprint),
		new(record.DeletedFile), new(record.DeletedData), new(record.DeletedEnd), new(record.CrossCheck), new(record.CrossFinding),
		new(record.Storage), new(record.KernelModule), new(record.FilterObject), new(record.Flow),
		new(record.StartUnit), new(record.StartFile), new(record.StartService), new(record.StartValue), new(record.SharedOffer), new(record.SharedIPC), new(record.TempFile), new(record.Sysctl), new(record.Key), new(record.USBDevice), new(record.BPF), new(record.Login),
		new(record.Namespace), new(record.Container), new(record.DNSCache), new(record.SecurityTool), new(record.KernelLine),
		new(record.BodyEntry), new(record.BodyTree), new(record.CopyFile), new(record.CopyEnd), new(record.CopyRow), new(record.PackageFile), new(record.PackageSummary),
		new(record.ProcIO), new(record.FileStat),
	}
}

// fill sets every field of v, nested ones too, from the bytes of src, which are used
// in a circle, so that any input fills any record.
type fill struct {
	src []byte
	at  int
}

func (f *fill) next() byte {
	if len(f.src) == 0 {
		f.at++
		return byte(f.at)
	}
	b := f.src[f.at%len(f.src)]
	f.at++
	return b
}

func (f *fill) bytes() []byte {
	n := int(f.next()%24) + 1
	b := make([]byte, n)
	for i := range b {
		b[i] = f.next()
	}
	return b
}

func (f *fill) value(v reflect.Value) {
	if v.Type() == reflect.TypeFor[time.Time]() {
		v.Set(reflect.ValueOf(time.Unix(int64(f.next())<<24, int64(f.next())<<8).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(string(f.bytes()))
	case reflect.Bool:
		v.SetBool(f.next()%4 != 0)
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := int64(f.next())<<16 | int64(f.next())
		if f.next()%2 == 0 {
			n = -n
		}
		v.SetInt(n)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(f.next())<<8 | uint64(f.next()))
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.SetBytes(f.bytes())
			return
		}
		n := int(f.next() % 4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.value(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.value(v.Field(i))
		}
	default:
		panic("record with a field of kind " + v.Kind().String())
	}
}

// same fails the test unless r written by AppendJSON reads back as what encoding/json
// makes of r.
func same(t *testing.T, r line) {
	t.Helper()
	got := r.AppendJSON([]byte("before"))
	got, ok := bytes.CutPrefix(got, []byte("before"))
	if !ok || !json.Valid(got) || !utf8.Valid(got) || bytes.IndexByte(got, '\n') >= 0 {
		t.Fatalf("%T: not one line of JSON: %q", r, got)
	}
	want, err := json.Marshal(r)
	if err != nil {
		t.Fatalf("%T: %v", r, err)
	}
	g, w := reflect.New(reflect.TypeOf(r).Elem()).Interface(), reflect.New(reflect.TypeOf(r).Elem()).Interface()
	d := json.NewDecoder(bytes.NewReader(got))
	d.DisallowUnknownFields()
	if err := d.Decode(g); err != nil {
		t.Fatalf("%T: %v in %s", r, err, got)
	}
	if err := json.Unmarshal(want, w); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(w, g, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("%T: encoding/json (-), AppendJSON (+):\n%s", r, diff)
	}
}

func TestRoundTrip(t *testing.T) {
	for _, r := range kinds() {
		same(t, r) // all zero
		f := &fill{src: []byte("3 the quick brown fox \x01\x02 ジャンプ <b>&\u2028 \xff\xfe\x80\"\\\n\t\x7f")}
		for range 64 {
			f.value(reflect.ValueOf(r).Elem())
			same(t, r)
		}
	}
}

// A record filled with ordinary text reads back as itself: nothing is left out.
func TestEveryFieldIsWritten(t *testing.T) {
	for _, r := range kinds() {
		f := &fill{src: []byte("abcdefg7")}
		f.value(reflect.ValueOf(r).Elem())
		back := reflect.New(reflect.TypeOf(r).Elem()).Interface()
		if err := json.Unmarshal(r.AppendJSON(nil), back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, back, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%T: written (-), read (+):\n%s", r, diff)
		}
	}
}

func FuzzAppendJSON(f *testing.F) {
	f.Add([]byte("a"))
	f.Add([]byte("\x00\xff\xed\xa0\x80</script>\u2028\""))
	f.Fuzz(func(t *testing.T, src []byte) {
		for _, r := range kinds() {
			(&fill{src: src}).value(reflect.ValueOf(r).Elem())
			same(t, r)
		}
	})
}

func FuzzText(f *testing.F) {
	f.Add([]byte("plain"))
	f.Add([]byte("caf\xe9 \xf0\x9f"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		text, exact := record.Text(raw)
		text2, exact2 := record.TextOf(string(raw))
		if text != text2 || !bytes.Equal(exact, exact2) {
			t.Fatal("Text and TextOf differ")
		}
		if exact == nil {
			if text != string(raw) {
				t.Fatalf("bytes lost: %q shown as %q", raw, text)
			}
			return
		}
		if !bytes.Equal(exact, raw) || !utf8.ValidString(text) {
			t.Fatalf("text %q, exact %q of %q", text, exact, raw)
		}
		var viaJSON string
		b, _ := json.Marshal(string(raw))
		if json.Unmarshal(b, &viaJSON); viaJSON != text {
			t.Fatalf("shown as %q, by encoding/json as %q", text, viaJSON)
		}
	})
}

func TestTimesThatCannotBeWrittenAreLeftOut(t *testing.T) {
	p := &record.Process{StartedAt: time.Unix(1<<40, 0)}
	if b := p.AppendJSON(nil); !json.Valid(b) || bytes.Contains(b, []byte("started_at")) {
		t.Fatalf("%s", b)
	}
}

func BenchmarkSocket(b *testing.B) {
	s := &record.Socket{NetNS: 4026531833, Source: record.SourceSockDiag, Family: "inet", Proto: "tcp", State: "ESTABLISHED",
		LocalAddr: "127.0.0.1", LocalPort: 40000, RemoteAddr: "127.0.0.1", RemotePort: 22, Inode: 123456, UID: 0, User: "root",
		Owners: []record.Owner{{PID: 4711, StartTicks: 991827, Comm: "sshd", FD: 4}}}
	var buf []byte
	for b.Loop() {
		buf = s.AppendJSON(buf[:0])
	}
	b.SetBytes(int64(len(buf)))
}
