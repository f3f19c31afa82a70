//go:build linux

package nft

import (
	"context"
	"os"
)

// Others passes on every other network namespace of this machine that a process has or
// that is pinned where that is usual, each once, those of users last: a descriptor, which
// fn closes, its inode and who has it. It returns how many were left out because there are
// too many. An agent has others below it only where it shares the network namespace of the
// process 1 that it sees.
func (f *Firewall) Others(ctx context.Context, fn func(file *os.File, inode uint64, who string)) (unseen int) {
	own := f.inode()
	if own == 0 || own != inodeOf("/proc/1/ns/net") {
		return 0
	}
	s := search{own: f.owner()}
	s.shallow(ctx)
	for _, foreign := range []bool{false, true} {
		for _, o := range s.found {
			switch {
			case o.foreign != foreign:
			case o.inode == own:
				_ = o.file.Close()
			default:
				fn(o.file, o.inode, o.who)
			}
		}
	}
	return s.unseen
}
