//go:build linux

package nft

import (
	"context"
	"errors"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Shut drops everything but loopback, with the fewest means there are: one table without
// any policy, devices or lock, in place of the inet table that may be there. It is for a
// start that cannot put the ordered policy in force. A netdev table that is there stays,
// and the next Apply or Restore takes all of it away.
func (f *Firewall) Shut(ctx context.Context) error {
	var all error
	for _, loopback := range []bool{true, false} { // perhaps the kernel lacks what a rule needs
		t := table{family: unix.NFPROTO_INET, name: f.cfg.Table}
		for _, c := range []struct {
			name string
			num  uint32
			rule []rule
		}{
			{"in", unix.NF_INET_LOCAL_IN, []rule{permit("loopback", meta(unix.NFT_META_IIF, host32(loopbackIndex)))}},
			{"out", unix.NF_INET_LOCAL_OUT, []rule{permit("loopback", meta(unix.NFT_META_OIF, host32(loopbackIndex)))}},
			{"forward", unix.NF_INET_FORWARD, nil},
		} {
			one := base(c.name, c.num, inetFirst, c.rule)
			if !loopback {
				one.rules = nil // the policy of the chain drops
			}
			t.chains = append(t.chains, one)
		}
		err := f.commit(ctx, replace(f.cfg.Table, []table{t}))
		if err == nil {
			return nil
		}
		all = errors.Join(all, f.explain(ctx, "drop everything", err))
		if errors.Is(all, isolate.ErrNeedsRoot) || ctx.Err() != nil {
			break
		}
	}
	return all
}
