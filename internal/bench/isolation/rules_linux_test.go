package isolation

import (
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRulesAreInForceWithTheirTransaction(t *testing.T) {
	message := func(kind uint16, data int) []byte {
		b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+data))
		b = append(binary.NativeEndian.AppendUint16(b, kind), make([]byte, 10+(data+3)&^3)...)
		return b
	}
	const nft = unix.NFNL_SUBSYS_NFTABLES << 8
	table, rule, end := message(nft|unix.NFT_MSG_NEWTABLE, 5), message(nft|unix.NFT_MSG_NEWRULE, 7), message(nft|unix.NFT_MSG_NEWGEN, 20)
	rules := false
	for i, c := range []struct {
		in   []byte
		want bool
	}{
		{append(append(append([]byte{}, table...), rule...), end...), true},
		{append(append([]byte{}, table...), end...), false},
		{rule, false}, {end, true}, {end, false}, // in datagrams of their own
		{append(append([]byte{}, end...), rule...), false}, {end, true},
		{[]byte{1, 0, 0, 0}, false}, {rule[:10], false}, {message(nft|unix.NFT_MSG_NEWRULE, 400)[:20], false}, {end, false}, {nil, false},
	} {
		if got := inForce(c.in, &rules); got != c.want {
			t.Errorf("%d: %t", i, got)
		}
	}
}
