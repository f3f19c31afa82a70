package isolation

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/internal/netlab"
)

// A transaction is whole messages between the marks of a batch, and its last message is
// the one that is answered.
func TestTransactionIsWhole(t *testing.T) {
	b := transaction(nfMessage(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, unix.NFPROTO_INET, []byte{5, 0, 1, 0, 'x', 0, 0, 0}), nfMessage(unix.NFT_MSG_DELTABLE, 0, unix.NFPROTO_INET, nil))
	var types, acks []uint16
	for len(b) > 0 {
		size := binary.NativeEndian.Uint32(b)
		types, acks = append(types, binary.NativeEndian.Uint16(b[4:])), append(acks, binary.NativeEndian.Uint16(b[6:])&unix.NLM_F_ACK)
		b = b[(size+3)&^3:]
	}
	if len(types) != 4 || types[0] != unix.NFNL_MSG_BATCH_BEGIN || types[3] != unix.NFNL_MSG_BATCH_END || acks[1] != 0 || acks[2] == 0 {
		t.Errorf("types %v, answered %v", types, acks)
	}
}

func TestOnlyKeepsWhatIsAsked(t *testing.T) {
	b := []byte{5, 0, 1, 0, 'x', 0, 0, 0, 8, 0, 2, 0, 1, 2, 3, 4, 4, 0, 3, 0x80}
	if got := only(b, []uint16{1, 3}); !bytes.Equal(got, append(bytes.Clone(b[:8]), b[16:]...)) {
		t.Errorf("% x", got)
	}
	for _, torn := range [][]byte{{3, 0, 1, 0}, {9, 0, 1, 0, 1}, {4}} {
		if got := only(torn, []uint16{1}); len(got) > 0 {
			t.Errorf("% x of % x", got, torn)
		}
	}
}

// Without anything in force there is nothing to copy, which must not go unnoticed.
func TestBatchOfNothing(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	h, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if b, err := newBatch(h); err == nil {
		t.Errorf("a batch of %d bytes", len(b.cut))
	}
}
