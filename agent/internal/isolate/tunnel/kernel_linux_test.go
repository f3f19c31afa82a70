package tunnel

import (
	"bytes"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Generic netlink is asked for a family and then by its number, on one socket; here for
// the family that tells of families, which every kernel has.
func TestGenericNetlink(t *testing.T) {
	c, err := netlink.Dial(unix.NETLINK_GENERIC, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 2 {
		msgs, err := generic(c, "nlctrl", unix.CTRL_CMD_GETFAMILY, nil)
		if err != nil || len(msgs) == 0 {
			t.Fatal(msgs, err)
		}
		found := false
		for _, m := range msgs {
			id, err := parseFamily(m.Data)
			if err != nil {
				t.Error(err)
			}
			found = found || id == unix.GENL_ID_CTRL && bytes.Contains(m.Data, []byte("nlctrl\x00"))
		}
		if !found {
			t.Errorf("%d families, not the one", len(msgs))
		}
	}
	if _, err := generic(c, "hozen-none", 0, nil); err == nil {
		t.Error("a family that does not exist was found")
	}
}
