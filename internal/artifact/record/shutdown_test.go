package record_test

import (
	"reflect"
	"testing"
	"time"

	"hozen/internal/artifact/record"
)

func TestShutdownRoundTrip(t *testing.T) {
	s := new(record.Shutdown)
	same(t, s)
	f := &fill{src: []byte("3 the quick brown fox \x01\x02 ジャンプ <b>&\u2028 \xff\xfe\x80\"\\\n\t\x7f")}
	for range 64 {
		f.value(reflect.ValueOf(s).Elem())
		same(t, s)
	}
}

func TestShutdownLine(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	s := &record.Shutdown{Reason: record.ReasonDown, BootID: "b", HoldNS: 1, Notices: []record.ShutdownNotice{{At: at, BootNS: 7, Event: "down", Source: "logind", Type: "reboot", ByUID: record.Unknown}}}
	const want = `{"reason":"down","boot_id":"b","hold_ns":1,"notices":[{"at":"2026-11-22T01:02:03.000000004Z","boot_ns":7,"event":"down","source":"logind","type":"reboot","by_uid":-1}]}`
	if got := string(s.AppendJSON(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzShutdown(f *testing.F) {
	f.Add([]byte("a"))
	f.Fuzz(func(t *testing.T, src []byte) {
		s := new(record.Shutdown)
		(&fill{src: src}).value(reflect.ValueOf(s).Elem())
		same(t, s)
	})
}
