package agentapi

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hozen/proto/wire"
)

func TestHomes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHomes([]string{"192.0.2.1:7443", "[2001:db8::1]:7443", "127.0.0.1:7443", "0.0.0.0:7443", "[fe80::1]:7443", "collector.example:7444", "gone.example:7443", "192.0.2.1:7443"})
		asked := 0
		answer := []netip.Addr{netip.MustParseAddr("127.0.1.1"), netip.MustParseAddr("::ffff:192.0.2.9")}
		h.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
			asked++
			if host != "collector.example" {
				return nil, errors.New("no such name")
			}
			return answer, nil
		}
		literal := []string{"192.0.2.1:7443", "[2001:db8::1]:7443"}
		if got := h.list(); !slices.Equal(got, literal) {
			t.Errorf("before any name is known: %q", got)
		}
		synctest.Wait()
		want := append(slices.Clone(literal), "192.0.2.9:7444")
		if got := h.list(); !slices.Equal(got, want) || asked != 2 {
			t.Errorf("with names: %q after %d questions", got, asked)
		}
		time.Sleep(lookupAgain)
		answer = answer[:1]
		if got := h.list(); !slices.Equal(got, want) {
			t.Errorf("while names are looked up again: %q", got)
		}
		synctest.Wait()
		if got := h.list(); !slices.Equal(got, literal) || asked != 4 {
			t.Errorf("a name that points elsewhere now: %q after %d questions", got, asked)
		}
	})
	var many []string
	for n := range 2 * wire.MaxCollectors {
		many = append(many, fmt.Sprintf("192.0.2.%d:7443", n+1))
	}
	if got := newHomes(many).list(); len(got) != wire.MaxCollectors {
		t.Errorf("%d addresses are named, more than an agent takes", len(got))
	}
}
