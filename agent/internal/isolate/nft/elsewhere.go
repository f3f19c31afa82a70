//go:build linux

package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// Rules are of one network namespace, and a device that is moved into another one leaves
// them behind. So every namespace that has a way out of the machine by itself gets rules
// like ours, in tables of another name: an agent that lives there has its own. Most have
// none: what a container sends by its end of a veth pair passes our rules at the other.
//
// Anybody may make a namespace that belongs to a user namespace of his (foreign), with
// devices of most kinds in it, but only who rules over ours brings hardware there. So
// nothing else there counts, and nobody makes an isolation look broken, or holds up a
// release, by what he does in his own.

// elsewhere is what is known of other network namespaces.
type elsewhere struct {
	mu sync.Mutex
	// moved are the devices that left our namespace while it was watched, by the number
	// that it has for where they went, and their index there.
	moved map[int32]map[int32]bool
	// covered are the namespaces with rules of ours.
	covered []*covered
	deep    time.Time // when descriptors were searched last
}

// covered is one namespace with rules of ours. Its descriptor, and the socket that holds
// its tables, keep the namespace alive, so both are let go of when nobody else has it.
type covered struct {
	space
	fw    *Firewall
	names []string  // of the devices that lead out
	seen  time.Time // when somebody else had it last
}

// deepEvery is how often is looked for a namespace that is hard to find; that takes up to
// 0.2 s.
const deepEvery = 30 * time.Second

const (
	// coveredMax is how many namespaces get rules; each takes descriptors and time.
	coveredMax = 64
	// devicesMax is how many devices of another namespace are looked at, and of all foreign
	// ones together.
	devicesMax = 4096
)

// awaySuffix makes the name of tables elsewhere from that of ours.
const awaySuffix = "-away"

// inner are the kinds of devices (IFLA_INFO_KIND) that lead to no cable or radio by
// themselves: to another device, whose rules count, or to a program. What has no kind is
// hardware, and what is not known is taken for it.
const inner = " bareudp bond bridge dummy erspan geneve gre gretap gtp hsr ifb ip6erspan ip6gre ip6gretap ip6tnl ipip ipvlan ipvtap" +
	" macsec macvlan macvtap netkit nlmon sit team tun vcan veth vlan vrf vti vti6 vxcan vxlan wireguard xfrm "

// device is what the kernel says of a network device (rtnetlink(7)).
type device struct {
	index    int32
	name     string
	kind     string // empty for hardware
	loopback bool
	lower    bool // it stands on another device, or has one at its other end,
	apart    bool // which is in another namespace
	to       int32
	toIndex  int32
	gone     bool // it was moved to the namespace with the number to, as toIndex
}

// leadsOut reports whether a device leads out of the machine by itself.
func (f *Firewall) leadsOut(d device) bool {
	return !d.loopback && (d.kind == "" || !strings.Contains(f.inner, " "+d.kind+" "))
}

// left notes a device that was moved out of our namespace, if it has to be cut where it
// went. Only where our namespace is not the machine's first one may an end of a veth pair
// be a cable of ours: one whose other end is not here.
func (f *Firewall) left(d device) bool {
	pair := (d.kind == "veth" || d.kind == "netkit") && (!d.lower || d.apart)
	if !f.cfg.Elsewhere || !d.gone || !f.leadsOut(d) && (!pair || f.first()) {
		return false
	}
	e := &f.others
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.moved == nil {
		e.moved = map[int32]map[int32]bool{}
	}
	if e.moved[d.to] == nil {
		e.moved[d.to] = map[int32]bool{}
	}
	e.moved[d.to][d.toIndex] = true
	e.deep = time.Time{} // worth a search
	return true
}

// cover finds the namespaces that need rules of ours. gaps say in English which of them
// cannot be entered. The lock is held by the caller.
func (e *elsewhere) cover(ctx context.Context, f *Firewall) (gaps, limits []string) {
	first, own := f.first(), f.inode()
	if !first && len(e.moved) == 0 && len(e.covered) == 0 {
		return nil, nil
	}
	var search search
	defer search.close()
	search.own = f.owner()
	for _, c := range e.covered { // what only we still know of is one to look at too
		search.keep(c.space)
	}
	search.shallow(ctx)
	seen, left := map[int32]bool{}, f.most
	var pending []hidden
	unseen := 0
	look := func(s space) {
		if s.inode == own {
			return
		}
		n := f.number(ctx, s)
		if n >= 0 {
			seen[n] = true
		}
		had, most := len(e.moved[n]) > 0, f.most
		if s.foreign && !had && e.of(s.inode) == nil {
			if most = left; most <= 0 {
				unseen++
				return
			}
		}
		ds, err := f.at(s).devices(ctx, -1, most)
		if s.foreign {
			left -= len(ds)
		}
		var names []string
		if err == nil { // a look that failed shows nothing of what was moved there
			names = e.outward(f, ds, n, first, s.foreign)
		}
		switch c := e.of(s.inode); {
		case err != nil && !first && !had:
		case s.foreign && err != nil && !had && c == nil:
			unseen++
		case errors.Is(err, unix.EPERM) && !had:
			limits = append(limits, fmt.Sprintf("the network namespace of %s may not be entered: whether it has a way out of its own is not known", s.who))
		case err != nil:
			gaps = append(gaps, fmt.Sprintf("the network namespace of %s cannot be looked at: %v", s.who, err))
		case c == nil && len(names) > 0:
			file, err := s.again()
			if err == nil && len(e.covered) >= coveredMax {
				_ = file.Close()
				err = fmt.Errorf("more than %d have a way out", coveredMax)
			}
			if err != nil {
				gaps = append(gaps, fmt.Sprintf("the network namespace of %s cannot be held: %v", s.who, err))
				return
			}
			s.file = file
			e.covered = append(e.covered, &covered{space: s, fw: f.at(s), names: names})
		case c != nil && len(names) > 0:
			c.names = names
		case c != nil && s.foreign && n >= 0: // what he does with our rules is his own affair again
			_ = c.fw.Restore(ctx)
			e.uncover(c)
		}
	}
	for _, s := range search.found {
		look(s)
	}
	numbers, err := f.numbers(ctx)
	if err != nil && len(e.moved) > 0 {
		gaps = append(gaps, fmt.Sprintf("where network devices were moved to cannot be found out: %v", err))
	}
	for _, n := range numbers {
		had := len(e.moved[n]) > 0
		if seen[n] || !first && !had {
			continue
		}
		ds, err := f.devices(ctx, n, f.most)
		if err != nil {
			if had {
				gaps = append(gaps, fmt.Sprintf("the network namespace with the number %d, to which a network device was moved, cannot be looked at: %v", n, err))
			}
			continue
		}
		if names := e.outward(f, ds, n, first, false); len(names) > 0 {
			// Whose it is is not known, so it is taken for foreign.
			pending = append(pending, hidden{n, names, len(e.outward(f, ds, n, first, true)) > 0})
		}
	}
	now := time.Now()
	lost := len(pending) > 0
	for _, c := range e.covered {
		if search.others(c.inode) {
			c.seen = now
		}
		lost = lost || now.Sub(c.seen) > deepEvery
	}
	if lost && now.Sub(e.deep) > deepEvery {
		e.deep = now
		known := len(search.found)
		whole := search.deep(ctx)
		for _, s := range search.found[known:] {
			look(s)
		}
		for _, c := range slices.Clone(e.covered) {
			if !whole || search.others(c.inode) {
				c.seen = now
			} else if now.Sub(c.seen) > deepEvery { // let the kernel take it away
				e.uncover(c)
			}
		}
	}
	for _, p := range pending {
		what := fmt.Sprintf("network device %s is in another network namespace (number %d), which nobody was found to hold: it may be open there",
			strings.Join(p.names, ", "), p.number)
		switch {
		case seen[p.number]:
		case p.counts:
			gaps = append(gaps, what)
		default:
			limits = append(limits, what)
		}
	}
	if n := unseen + search.unseen; n > 0 {
		limits = append(limits, fmt.Sprintf("%d network namespaces, most of them of users, were not looked at: whether one has a way out of its own is not known", n))
	}
	return gaps, limits
}

// hidden is a namespace that was not found, and what is in it.
type hidden struct {
	number int32
	names  []string
	counts bool // even if it is foreign
}

// of is the cover of a namespace, nil if it has none.
func (e *elsewhere) of(inode uint64) *covered {
	for _, c := range e.covered {
		if c.inode == inode {
			return c
		}
	}
	return nil
}

// outward names those of a namespace's devices that lead out, and forgets of those that
// were moved there what is there no more.
func (e *elsewhere) outward(f *Firewall, ds []device, number int32, first, foreign bool) (names []string) {
	for i := range e.moved[number] {
		if !slices.ContainsFunc(ds, func(d device) bool { return d.index == i }) {
			delete(e.moved[number], i)
		}
	}
	if len(e.moved[number]) == 0 {
		delete(e.moved, number)
	}
	for _, d := range ds {
		if e.moved[number][d.index] || first && f.leadsOut(d) && (!foreign || d.kind == "") {
			names = append(names, fmt.Sprintf("%q", d.name))
		}
	}
	return names
}

func (e *elsewhere) uncover(c *covered) {
	_ = c.fw.Close()
	_ = c.file.Close()
	e.covered = slices.DeleteFunc(slices.Clone(e.covered), func(o *covered) bool { return o == c })
}

// at returns a Firewall for another namespace.
func (f *Firewall) at(s space) *Firewall {
	a := New(Config{NetNS: int(s.file.Fd()), Table: f.cfg.Table + awaySuffix})
	a.away = true
	if feat, known := f.known(); known {
		a.remember(feat)
	}
	return a
}

// from is what stays open elsewhere. What passes on its way to the collector has lost the
// mark of our namespace.
func from(p isolate.Policy) isolate.Policy {
	p.Mark = 0
	return p
}

// applyElsewhere puts p in force in the other namespaces that have a way out.
func (f *Firewall) applyElsewhere(ctx context.Context, p isolate.Policy) error {
	if !f.cfg.Elsewhere {
		return nil
	}
	e := &f.others
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cover(ctx, f)
	var all error
	for _, c := range e.covered {
		// Whose it is may keep us out; then reading back says that a device is open there.
		if err := c.fw.Apply(ctx, from(p)); err != nil && !c.foreign {
			all = errors.Join(all, fmt.Errorf("network namespace of %s: %w", c.who, err))
		}
	}
	return all
}

// observeElsewhere adds to o what is in force in other namespaces.
func (f *Firewall) observeElsewhere(ctx context.Context, p *isolate.Policy, o *isolate.Observation) {
	e := &f.others
	e.mu.Lock()
	defer e.mu.Unlock()
	var q *isolate.Policy
	if p != nil {
		gaps, limits := e.cover(ctx, f)
		o.Gaps, o.Limits = append(o.Gaps, gaps...), append(o.Limits, limits...)
		p := from(*p)
		q = &p
	}
	for _, c := range slices.Clone(e.covered) {
		there, err := c.fw.Observe(ctx, q)
		if q == nil && (c.foreign || err == nil && !there.Present) {
			// Nothing of ours holds it any more, or what is there is not for us to say.
			if err == nil && !there.Present {
				e.uncover(c)
			}
			continue
		}
		where := fmt.Sprintf("network device %s is in the network namespace of %s", strings.Join(c.names, ", "), c.who)
		if err != nil {
			o.Gaps = append(o.Gaps, fmt.Sprintf("%s: %v", where, err))
		}
		for _, g := range there.Gaps {
			o.Gaps = append(o.Gaps, where+": "+g)
		}
		o.Present = o.Present || there.Present
		if q == nil {
			o.Tables = append(o.Tables, there.Tables...)
		}
		if q != nil && !c.foreign && there.Held != isolate.HeldHere && o.Held == isolate.HeldHere {
			o.Held = there.Held
		}
		for _, l := range there.Links {
			l.Name += fmt.Sprintf("@net:[%d]", c.inode)
			o.Links = append(o.Links, l)
		}
	}
	o.Complete = o.Complete && len(o.Gaps) == 0
}

// restoreElsewhere takes away what is of ours in any other namespace that can be found.
// Where our namespace is not the first one, others like us may hold theirs there.
func (f *Firewall) restoreElsewhere(ctx context.Context) error {
	if !f.cfg.Elsewhere {
		return nil
	}
	e := &f.others
	e.mu.Lock()
	defer e.mu.Unlock()
	var all error
	for _, c := range e.covered {
		if err := c.fw.Restore(ctx); err != nil && !c.foreign {
			all = errors.Join(all, fmt.Errorf("network namespace of %s: %w", c.who, err))
			continue
		}
		e.uncover(c)
	}
	var search search
	defer search.close()
	search.own = f.owner()
	search.shallow(ctx)
	own, first := f.inode(), f.first()
	if first {
		search.deep(ctx) // an agent that began anew does not know where the one before it was
	}
	for _, s := range search.found {
		if s.inode == own || e.of(s.inode) != nil {
			continue
		}
		if err := f.at(s).Restore(ctx); err != nil && first && !s.foreign && !errors.Is(err, isolate.ErrNeedsRoot) {
			all = errors.Join(all, fmt.Errorf("network namespace of %s: %w", s.who, err))
		}
	}
	if all == nil {
		e.moved = nil
	}
	return all
}

// closeElsewhere lets go of the rules elsewhere without changing them.
func (f *Firewall) closeElsewhere() {
	e := &f.others
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range e.covered {
		e.uncover(c)
	}
}

// passing are the rules for what another namespace passes on between us and the collector.
func passing(p isolate.Policy, device bool) (rs []rule) {
	in, out := filter{in: true, device: device}, filter{device: device}
	for _, c := range p.Collectors {
		rs = append(rs, out.toCollector(c, 0), in.fromCollector(c), in.tooBig(c))
	}
	for _, t := range p.Tunnels {
		rs = append(append(rs, out.carried(t)...), in.carried(t)...)
	}
	return rs
}

// errMany means that a namespace has more devices than are looked at.
var errMany = errors.New("too many network devices")

// devices lists the network devices of our namespace, or of the one with a number. More
// than most are an error.
func (f *Firewall) devices(ctx context.Context, number int32, most int) ([]device, error) {
	data := make([]byte, unix.SizeofIfInfomsg)
	if number >= 0 {
		data = attr(data, unix.IFLA_TARGET_NETNSID, host32(uint32(number)))
	}
	var ds []device
	err := f.dump(ctx, unix.RTM_GETLINK, data, func(b []byte) error {
		if len(ds) >= most {
			return errMany
		}
		d, err := parseDevice(b)
		ds = append(ds, d)
		return err
	})
	return ds, err
}

// sizeofRtgenmsg is the size of struct rtgenmsg with its padding.
const sizeofRtgenmsg = 4

// numbers lists the numbers that our namespace has for others (ip-netns(8), "nsid").
// Kernels before 4.0 have none; then nothing was moved that has one.
func (f *Firewall) numbers(ctx context.Context) (ns []int32, err error) {
	err = f.dump(ctx, unix.RTM_GETNSID, make([]byte, sizeofRtgenmsg), func(b []byte) error {
		if n := parseNumber(b); n >= 0 {
			ns = append(ns, n)
		}
		return nil
	})
	return ns, err
}

// number is the number that our namespace has for another one, negative if it has none.
func (f *Firewall) number(ctx context.Context, s space) int32 {
	c, end, err := f.dial(ctx, unix.NETLINK_ROUTE)
	if err != nil {
		return -1
	}
	defer end()
	msgs, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETNSID, Flags: netlink.Request},
		Data:   attr(make([]byte, sizeofRtgenmsg), unix.NETNSA_FD, host32(uint32(s.file.Fd()))),
	})
	if err != nil || len(msgs) != 1 {
		return -1
	}
	return parseNumber(msgs[0].Data)
}

func (f *Firewall) dump(ctx context.Context, typ netlink.HeaderType, data []byte, fn func([]byte) error) error {
	c, end, err := f.dial(ctx, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer end()
	req, err := c.Send(netlink.Message{Header: netlink.Header{Type: typ, Flags: netlink.Request | netlink.Dump}, Data: data})
	if err != nil {
		return fmt.Errorf("list network devices: %w", ctxError(ctx, err))
	}
	// One by one: who made a hundred thousand of them is not given our memory too.
	for m, err := range c.ReceiveIter() {
		switch {
		case err != nil:
			err = ctxError(ctx, err)
		case m.Header.Sequence == req.Header.Sequence: // else it is no answer to us
			err = fn(m.Data)
		}
		if err != nil {
			return fmt.Errorf("list network devices: %w", err)
		}
	}
	return nil
}

// parseNumber reads struct rtgenmsg and NETNSA_NSID (net_namespace.h).
func parseNumber(b []byte) int32 {
	n := int32(-1)
	if len(b) < sizeofRtgenmsg {
		return n
	}
	_ = each(b[sizeofRtgenmsg:], func(typ uint16, v []byte) error {
		if typ == unix.NETNSA_NSID && len(v) == 4 {
			n = int32(binary.NativeEndian.Uint32(v))
		}
		return nil
	})
	return n
}

// firstPIDs is the inode of the machine's first PID namespace, on every kernel since 3.8
// (PROC_PID_INIT_INO in include/linux/proc_ns.h).
const firstPIDs = 0xEFFFFFFC

// first reports whether our namespace is that of the machine's first process, which is not
// the process 1 of a container: only from there other namespaces are below us.
func (f *Firewall) first() bool {
	return inodeOf("/proc/1/ns/pid") == f.pids && f.inode() != 0 && f.inode() == inodeOf("/proc/1/ns/net")
}

// inode is that of our namespace.
func (f *Firewall) inode() uint64 { return inodeOf(f.path()) }

// owner is the inode of the user namespace that owns ours, 0 if that is not known.
func (f *Firewall) owner() uint64 {
	file, _, err := openSpace(f.path())
	if err != nil {
		return 0
	}
	defer func() { _ = file.Close() }()
	return ownerOf(int(file.Fd()))
}

func (f *Firewall) path() string {
	if f.cfg.NetNS == 0 {
		return "/proc/thread-self/ns/net" // a thread may be in one of its own
	}
	return fmt.Sprintf("/proc/self/fd/%d", f.cfg.NetNS)
}

func inodeOf(path string) uint64 {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return 0
	}
	return st.Ino
}
