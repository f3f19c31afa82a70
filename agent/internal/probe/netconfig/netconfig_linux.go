package netconfig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// read asks the kernel and reads the resolver's files. unread counts the tables and
// files that failed.
func read(ctx context.Context, root string) (facts []record.NetConfig, unread int64, err error) {
	facts, unread, err = kernel(ctx)
	r, rerr := os.OpenRoot(root)
	if rerr != nil {
		return facts, unread + 1, errors.Join(err, fmt.Errorf("open %s: %w", root, rerr))
	}
	defer r.Close()
	for _, name := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf", "etc/hosts"} {
		if err := ctx.Err(); err != nil {
			return facts, unread + 1, err
		}
		more, ferr := file(r, name)
		if ferr != nil && !errors.Is(ferr, fs.ErrNotExist) {
			unread++
			err = errors.Join(err, ferr)
		}
		facts = append(facts, more...)
	}
	return facts, unread, err
}

func kernel(ctx context.Context) (facts []record.NetConfig, unread int64, err error) {
	c, err := sockdiag.Dial()
	if err != nil {
		return nil, 5, err
	}
	defer c.Close()
	names, err := c.Interfaces(ctx)
	if err != nil {
		unread++
	}
	one := func(parse func([]byte) (record.NetConfig, error)) func([]byte) ([]record.NetConfig, error) {
		return func(b []byte) ([]record.NetConfig, error) {
			n, err := parse(b)
			return []record.NetConfig{n}, err
		}
	}
	for _, t := range []struct {
		what     string
		ask, row uint16
		body     int // size of the question's fixed part
		parse    func([]byte) ([]record.NetConfig, error)
	}{
		{"neighbours", getNeigh, newNeigh, 12, one(parseNeigh)},
		{"addresses", getAddr, newAddr, 8, one(parseAddr)},
		{"interfaces", getLink, newLink, 16, one(parseLink)},
		{"routes", getRoute, newRoute, 12, parseRoute},
		{"policy rules", getRule, newRule, 12, one(parseRule)},
	} {
		derr := c.Routing(ctx, t.ask, make([]byte, t.body), func(typ uint16, body []byte) error {
			if typ != t.row {
				return nil
			}
			more, err := t.parse(body)
			facts = append(facts, more...)
			return err
		})
		if derr != nil && !errors.Is(derr, unix.EOPNOTSUPP) { // a kernel without policy routing has no rules
			unread++
			err = errors.Join(err, fmt.Errorf("list %s: %w", t.what, derr))
		}
	}
	link, _ := os.Readlink("/proc/thread-self/ns/net") // without it the lines carry no number
	for i := range facts {
		f := &facts[i]
		f.NetNS = procfs.NSInode([]byte(link))
		if f.Iface == "" && f.IfIndex > 0 {
			f.Iface = names[uint32(f.IfIndex)]
		}
	}
	return facts, unread, err
}

// file reads one file of the resolver. The usual one is often a link to a file that
// changes, so where it leads is told too.
func file(root *os.Root, name string) ([]record.NetConfig, error) {
	target, _ := root.Readlink(name)
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil && target != "" {
		// An absolute link leads out of a Root by its rules, not by ours: "/" is the root.
		f, err = root.OpenFile(relative(name, target), os.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return nil, errors.Join(err, fmt.Errorf("read %s: not a regular file", name))
	}
	limit := maxResolv
	if name == "etc/hosts" {
		limit = maxHosts
	}
	b, err := io.ReadAll(io.LimitReader(f, int64(limit)+1))
	cut := len(b) > limit
	b = b[:min(len(b), limit)]
	if name == "etc/hosts" {
		return parseHosts("/"+name, b, cut), err
	}
	n := parseResolv("/"+name, b, cut)
	n.LinkTarget, _ = record.TextOf(target)
	return []record.NetConfig{n}, err
}
