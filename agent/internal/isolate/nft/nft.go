//go:build linux

// Package nft isolates a Linux endpoint with nf_tables, spoken to over netlink: one
// transaction puts all rules in force, and all of them are read back from the kernel.
// It knows nothing of orders, files or the collector.
//
// There are two tables called "hozen". The inet table drops what arrives, leaves or is
// forwarded, IPv4 and IPv6. The netdev table does the same at every network device,
// which also stops what never sees the inet hooks: frames written straight to a device
// (AF_PACKET, packet(7)), macvlan devices and guests on a bridge. A packet dropped in
// any base chain is gone, so no table of anybody else can open what is closed here.
//
// The rules keep no state: established connections are cut with all others, and nothing
// depends on conntrack. Reference: nft(8), and include/uapi/linux/netfilter/nf_tables.h
// of the kernel.
package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Config is what a Firewall is built from. Its zero value is right for an agent.
type Config struct {
	// NetNS is the file descriptor of the network namespace to work in. Default 0: the
	// one of this process.
	NetNS int
	// Table is the name of both tables. Default "hozen".
	Table string
	// Elsewhere has other network namespaces of this machine cut too, where they have a way
	// out by themselves. Default: not.
	Elsewhere bool
}

// Firewall is isolate.Firewall by nf_tables. It keeps no state but what it learnt
// about the kernel and the socket that holds the tables, so any number of them, in any
// process, see the same. Where the kernel can (Linux 6.9), the one that applied a
// policy holds it until Restore, Close or the end of the process, and no other program
// can change or remove it.
type Firewall struct {
	cfg Config

	changing sync.Mutex // held while the kernel is asked to change something
	conn     *netlink.Conn
	port     atomic.Uint32 // the netlink port of conn, 0 if there is none

	mu       sync.Mutex
	features *features

	others elsewhere
	away   bool   // it works in a namespace that is not the agent's
	inner  string // kinds of devices that lead nowhere by themselves
	pids   uint64 // inode of the machine's first PID namespace

	most      int           // devicesMax
	actorWait time.Duration // as the constant says
}

var _ isolate.Firewall = (*Firewall)(nil)

// New returns a Firewall; it touches nothing.
func New(c Config) *Firewall {
	if c.Table == "" {
		c.Table = "hozen"
	}
	return &Firewall{cfg: c, inner: inner, pids: firstPIDs, most: devicesMax, actorWait: actorWait}
}

// Apply implements [isolate.Firewall]. A device that vanishes meanwhile makes the
// kernel refuse the whole transaction; then it is tried again with those that are left.
// If the devices cannot be covered at all, the inet table alone is put in force and
// the error says so.
func (f *Firewall) Apply(ctx context.Context, p isolate.Policy) error {
	p = p.Clean()
	err := f.applyHere(ctx, p)
	return errors.Join(err, f.applyElsewhere(ctx, p))
}

func (f *Firewall) applyHere(ctx context.Context, p isolate.Policy) error {
	feat, known := f.known()
	err := f.apply(ctx, p, feat)
	if err == nil {
		f.remember(feat)
		return nil
	}
	if !known && ctx.Err() == nil {
		if feat, lerr := f.learn(ctx); lerr == nil && feat != everything {
			err = f.apply(ctx, p, feat)
		}
	}
	if err = f.explain(ctx, "apply isolation", err); err == nil {
		return nil
	}
	if errors.Is(err, isolate.ErrNeedsRoot) || errors.Is(err, errors.ErrUnsupported) || ctx.Err() != nil {
		return err
	}
	feat, _ = f.known()
	inet := f.plan(p, features{hold: feat.hold}, nil)
	if ierr := f.commit(ctx, replace(f.cfg.Table, inet)); ierr != nil {
		return errors.Join(err, ierr)
	}
	return fmt.Errorf("network devices are not covered anew: %w", err)
}

func (f *Firewall) apply(ctx context.Context, p isolate.Policy, feat features) error {
	var err error
	for range 4 {
		var links []string
		if links, err = f.links(ctx); err != nil {
			return err
		}
		err = f.commit(ctx, replace(f.cfg.Table, f.plan(p, feat, links)))
		if !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return err
		}
	}
	return err
}

// plan is what must be in force for a policy where f works.
func (f *Firewall) plan(p isolate.Policy, feat features, links []string) []table {
	ts := plan(f.cfg.Table, p, feat, links)
	if !f.away {
		return ts
	}
	for i, t := range ts {
		for j, c := range t.chains {
			if c.name == "forward" || c.name == permitIn || c.name == permitOut {
				ts[i].chains[j].rules = append(passing(p, t.family == unix.NFPROTO_NETDEV), c.rules...)
			}
		}
	}
	return ts
}

// Restore implements [isolate.Firewall].
func (f *Firewall) Restore(ctx context.Context) error {
	return errors.Join(f.restoreHere(ctx), f.restoreElsewhere(ctx))
}

func (f *Firewall) restoreHere(ctx context.Context) error {
	var err error
	for range 4 {
		var msgs []netlink.Message
		for _, family := range families {
			var t *table
			if t, err = f.readTable(ctx, family); err != nil {
				return f.explain(ctx, "restore network", err)
			}
			if t != nil {
				msgs = append(msgs, message(unix.NFT_MSG_DELTABLE, 0, family, attr(nil, unix.NFTA_TABLE_NAME, str(f.cfg.Table))))
			}
		}
		if len(msgs) > 0 {
			err = f.commit(ctx, msgs)
		}
		if err == nil {
			return f.letGo() // there is nothing left to hold
		}
		if !errors.Is(err, unix.ENOENT) { // somebody else was faster
			break
		}
	}
	return f.explain(ctx, "restore network", err)
}

// Observe implements [isolate.Firewall].
func (f *Firewall) Observe(ctx context.Context, p *isolate.Policy) (isolate.Observation, error) {
	found, err := f.read(ctx)
	if err != nil {
		return isolate.Observation{}, f.explain(ctx, "read isolation back", err)
	}
	// Devices are listed last: one that came or went meanwhile counts as not covered,
	// or its chains as left over, never the other way round.
	links, err := f.links(ctx)
	if err != nil {
		return isolate.Observation{}, f.explain(ctx, "read isolation back", err)
	}
	look := func(feat features) isolate.Observation {
		var want []table
		if p != nil {
			want = f.plan(p.Clean(), feat, links)
		}
		o := compare(want, found, links)
		o.Held = held(found, feat.hold, f.port.Load())
		if p != nil {
			o.Limits = feat.limits()
		}
		return o
	}
	feat, known := f.known()
	o := look(feat)
	if p != nil && !known && (!o.Complete || o.Held == isolate.HeldByNobody) {
		// Perhaps this kernel can do no more.
		if feat, err = f.learn(ctx); err != nil {
			return isolate.Observation{}, fmt.Errorf("read isolation back: %w", err)
		}
		o = look(feat)
	}
	f.observeElsewhere(ctx, p, &o)
	o.MeasuredAt = time.Now().UTC()
	return o, nil
}

// features is what the running kernel can do beyond the inet family.
type features struct {
	netdev bool // chains at a device's ingress
	egress bool // and at its egress: Linux 5.16 with CONFIG_NETFILTER_EGRESS
	hold   bool // tables that nobody else can change and that outlive us: Linux 6.9
}

func (f features) limits() (ls []string) {
	switch {
	case !f.netdev:
		ls = append(ls, "this kernel has no netdev tables: frames written straight to a device, macvlan devices and bridged guests are not cut")
	case !f.egress:
		ls = append(ls, "this kernel has no egress hook: frames written straight to a device, and what macvlan devices and bridged guests send, are not cut")
	}
	if !f.hold {
		ls = append(ls, "this kernel cannot lock tables: an administrator of this endpoint can remove the rules, which is seen and undone")
	}
	return ls
}

// everything is what a kernel of today can do. It is taken for granted until a kernel
// refuses: asking first would cost time before the cut, and might load modules on an
// endpoint that nobody isolates.
var everything = features{netdev: true, egress: true, hold: true}

func (f *Firewall) known() (feat features, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.features == nil {
		return everything, false
	}
	return *f.features, true
}

func (f *Firewall) remember(feat features) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.features = &feat
}

// learn finds out what the kernel can do, by transactions that are never
// committed, on loopback.
func (f *Firewall) learn(ctx context.Context) (features, error) {
	var feat features
	probe := f.cfg.Table + "-probe"
	device := func(num uint32) table {
		return table{family: unix.NFPROTO_NETDEV, name: probe, chains: []chain{
			{name: "probe", hook: &hook{num: num, priority: deviceFirst, policy: accept, devices: []string{"lo"}}},
		}}
	}
	for _, try := range []struct {
		t   table
		has *bool
	}{
		{device(unix.NF_NETDEV_INGRESS), &feat.netdev},
		{device(unix.NF_NETDEV_EGRESS), &feat.egress},
		{table{family: unix.NFPROTO_INET, name: probe, flags: flagsHeld}, &feat.hold},
	} {
		err := f.send(ctx, create(try.t), false)
		switch {
		case err == nil:
			*try.has = true
		case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ENOENT),
			// Before Linux 5.12 an unknown flag of a table is an invalid argument.
			try.has == &feat.hold && errors.Is(err, unix.EINVAL):
		default:
			return feat, f.explain(ctx, "learn what the kernel can do", err)
		}
	}
	f.remember(feat)
	return feat, nil
}

// explain turns the kernel's refusal into isolate's words.
func (f *Firewall) explain(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		// The same number answers somebody without rights and somebody who meets a table
		// that another program owns (NFT_TABLE_F_OWNER).
		if _, rerr := f.generation(ctx); errors.Is(rerr, unix.EPERM) || errors.Is(rerr, unix.EACCES) {
			return fmt.Errorf("%s: %w", what, isolate.ErrNeedsRoot)
		}
		return fmt.Errorf("%s: %w: %w", what, isolate.ErrHeld, err)
	}
	if errors.Is(err, unix.EPROTONOSUPPORT) || errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EINVAL) {
		// Without CONFIG_NETFILTER_NETLINK there is no such netlink family, without
		// CONFIG_NF_TABLES no such subsystem.
		if _, rerr := f.generation(ctx); rerr != nil {
			return fmt.Errorf("%s: no nf_tables: %w: %w", what, errors.ErrUnsupported, err)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// links lists the network devices except loopback, sorted.
func (f *Firewall) links(ctx context.Context) ([]string, error) {
	most := math.MaxInt
	if f.away {
		most = f.most
	}
	ds, err := f.devices(ctx, -1, most)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, d := range ds {
		if !d.loopback {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// parseDevice reads struct ifinfomsg and its attributes (rtnetlink(7)).
func parseDevice(b []byte) (d device, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return d, fmt.Errorf("device of %d bytes: %w", len(b), errReply)
	}
	d.index = int32(binary.NativeEndian.Uint32(b[4:]))
	d.loopback = binary.NativeEndian.Uint32(b[8:])&unix.IFF_LOOPBACK != 0
	err = each(b[unix.SizeofIfInfomsg:], func(typ uint16, v []byte) error {
		switch typ {
		case unix.IFLA_IFNAME:
			d.name = text(v)
		case unix.IFLA_LINK:
			d.lower = true
		case unix.IFLA_LINK_NETNSID:
			d.apart = true
		case unix.IFLA_NEW_NETNSID:
			d.gone = true
			return hostNumber(v, &d.to)
		case unix.IFLA_NEW_IFINDEX:
			return hostNumber(v, &d.toIndex)
		case unix.IFLA_LINKINFO:
			return each(v, func(typ uint16, v []byte) error {
				if typ == unix.IFLA_INFO_KIND {
					d.kind = text(v)
				}
				return nil
			})
		}
		return nil
	})
	if err == nil && (d.name == "" || strings.ContainsRune(d.name, '/')) {
		err = fmt.Errorf("device name %.20q: %w", d.name, errReply)
	}
	return d, err
}

func hostNumber(v []byte, to *int32) error {
	if len(v) != 4 {
		return fmt.Errorf("number of %d bytes: %w", len(v), errReply)
	}
	*to = int32(binary.NativeEndian.Uint32(v))
	return nil
}
