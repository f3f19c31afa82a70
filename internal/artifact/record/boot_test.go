package record_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozen/internal/artifact/record"
)

func TestBootRoundTrip(t *testing.T) {
	o := new(record.Boot)
	same(t, o)
	f := &fill{src: []byte("3 the quick brown fox \x01\x02 ジャンプ \xff\"\\\n\x7f")}
	for range 64 {
		f.value(reflect.ValueOf(o).Elem())
		same(t, o)
	}
}

func TestBootEveryFieldIsWritten(t *testing.T) {
	o, back := new(record.Boot), new(record.Boot)
	(&fill{src: []byte("abcdefg7")}).value(reflect.ValueOf(o).Elem())
	if err := json.Unmarshal(o.AppendJSON(nil), back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(o, back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("written (-), read (+):\n%s", diff)
	}
}

// A gap of zero that is known is not a gap that is not known.
func TestBootGapOfZero(t *testing.T) {
	o := &record.Boot{Gap: record.BootGap{Known: true}}
	if b := o.AppendJSON(nil); !bytes.Contains(b, []byte(`"gap":{"known":true,"at_least_ns":0,"at_most_ns":0}`)) {
		t.Errorf("%s", b)
	}
}
