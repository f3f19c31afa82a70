package record_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hozen/internal/artifact/record"
)

func TestFlightRoundTrip(t *testing.T) {
	r := new(record.Flight)
	same(t, r)
	f := &fill{src: []byte("3 the quick brown fox \x01\x02 ジャンプ <b>&\u2028 \xff\xfe\x80\"\\\n\t\x7f")}
	for range 64 {
		f.value(reflect.ValueOf(r).Elem())
		same(t, r)
	}
}

func TestFlightWritesEveryField(t *testing.T) {
	r := new(record.Flight)
	(&fill{src: []byte("abcdefg7")}).value(reflect.ValueOf(r).Elem())
	var back record.Flight
	if err := json.Unmarshal(r.AppendJSON(nil), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, &back, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("written (-), read (+):\n%s", diff)
	}
}

func FuzzFlight(f *testing.F) {
	f.Add([]byte("\x00\xff\xed\xa0\x80</script>\u2028\""))
	f.Fuzz(func(t *testing.T, src []byte) {
		r := new(record.Flight)
		(&fill{src: src}).value(reflect.ValueOf(r).Elem())
		same(t, r)
	})
}
