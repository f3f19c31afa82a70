package msgbus

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"
)

func message(t testing.TB, order binary.ByteOrder) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: []any{true}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath: dbus.MakeVariant(dbus.ObjectPath("/a/b")), dbus.FieldInterface: dbus.MakeVariant("c.d"), dbus.FieldMember: dbus.MakeVariant("E"),
		dbus.FieldSender: dbus.MakeVariant(":1.7"), dbus.FieldReplySerial: dbus.MakeVariant(uint32(9)), dbus.FieldUnixFDs: dbus.MakeVariant(uint32(2)),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(true)),
	}}
	var b bytes.Buffer
	if err := m.EncodeTo(&b, order); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseHead(t *testing.T) {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		b := message(t, order)
		hn, n, err := frameSize(b)
		h, herr := parseHead(b[:hn])
		if err != nil || herr != nil || n != int64(len(b)) || hn != n-4 {
			t.Fatalf("%d of %d bytes, %v, %v", n, len(b), err, herr)
		}
		if want := (Head{kind: typeSignal, Path: "/a/b", Interface: "c.d", Member: "E", Sender: ":1.7", replyTo: 9, fds: 2}); h != want {
			t.Errorf("%+v", h)
		}
		for i := range fixedHead + int(order.Uint32(b[12:])) {
			if _, err := parseHead(b[:i]); err == nil {
				t.Errorf("cut at %d: accepted", i)
			}
		}
	}
}

func FuzzHead(f *testing.F) {
	f.Add(message(f, binary.LittleEndian))
	f.Add(message(f, binary.BigEndian))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < fixedHead {
			return
		}
		hn, n, err := frameSize(b)
		if err == nil && (hn < fixedHead || n < hn || n > 1<<27) {
			t.Errorf("sizes %d, %d", hn, n)
		}
		h, err := parseHead(b)
		if err == nil && h.fds > 1024 {
			t.Errorf("%+v", h)
		}
	})
}
