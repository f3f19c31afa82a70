//go:build linux

package nft

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

func testPlan() []table {
	p := isolate.Policy{
		Collectors: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:7443"), netip.MustParseAddrPort("[2001:db8::1]:7443")},
		Mark:       7,
	}
	p.Mode, p.Permits = isolate.Selective, isolatetest.PolicyC().Permits[1:2]
	p.Tunnels = isolatetest.PolicyD().Tunnels[1:5:5]
	return plan("hozen", p.Clean(), everything, []string{"eth0", "wlan0"})
}

// asKernel is what a kernel would answer after these tables were made.
func asKernel(t testing.TB, ts []table) []table {
	t.Helper()
	var out []table
	for _, w := range ts {
		b := attr(attr(nil, unix.NFTA_TABLE_NAME, str(w.name)), unix.NFTA_TABLE_FLAGS, be32(w.flags))
		got, err := parseTable(w.family, b)
		check(t, err)
		var chains, rules [][]byte
		for _, c := range w.chains {
			chains = append(chains, chainAttrs(w.name, c))
			for _, r := range c.rules {
				rules = append(rules, ruleAttrs(w.name, c.name, r))
			}
		}
		check(t, got.fill(chains, rules))
		out = append(out, got)
	}
	return out
}

var testLinks = []string{"eth0", "wlan0"}

func TestWhatIsWrittenIsRead(t *testing.T) {
	want := testPlan()
	o := compare(want, asKernel(t, want), testLinks)
	if !o.Complete || !o.Present || o.Digest != o.Expected || len(o.Gaps) != 0 {
		t.Errorf("%+v", o)
	}
	for _, l := range o.Links {
		if !l.Ingress || !l.Egress {
			t.Errorf("link %+v", l)
		}
	}
	if len(o.Links) != 2 || len(o.Drops) != 3+4 {
		t.Errorf("%d links, %d drops", len(o.Links), len(o.Drops))
	}
}

// Every rule that is missing, doubled, moved or changed by one bit is a gap.
func TestEveryDifferenceIsAGap(t *testing.T) {
	want := testPlan()
	kernel := asKernel(t, want)
	n := 0
	text := map[[2]int][]byte{} // of the wanted chains
	for ti := range want {
		for ci, c := range want[ti].chains {
			text[[2]int{ti, ci}] = c.append(nil)
		}
	}
	// A chain that is not equal is a gap; that is shown for one change in 97, because
	// there are many changes.
	try := func(what string, change func(c *chain)) func(ti, ci int) {
		return func(ti, ci int) {
			t.Helper()
			found := slices.Clone(kernel)
			found[ti].chains = slices.Clone(kernel[ti].chains)
			c := &found[ti].chains[ci]
			*c = clone(*c)
			change(c)
			n++
			if c.name == want[ti].chains[ci].name && bytes.Equal(text[[2]int{ti, ci}], c.append(nil)) {
				t.Fatalf("%s in chain %s is not seen", what, c.name)
			}
			if n%97 != 1 {
				return
			}
			if o := compare(want, found, testLinks); o.Complete || len(o.Gaps) == 0 || o.Digest == o.Expected {
				t.Fatalf("%s in chain %s is no gap", what, c.name)
			}
		}
	}
	for ti := range want {
		for ci, c := range want[ti].chains {
			for ri := range c.rules {
				try("missing rule", func(c *chain) { c.rules = slices.Delete(c.rules, ri, ri+1) })(ti, ci)
				try("doubled rule", func(c *chain) { c.rules = slices.Insert(c.rules, ri, c.rules[ri]) })(ti, ci)
				try("other comment", func(c *chain) { c.rules[ri].comment += "x" })(ti, ci)
				if ri > 0 {
					try("swapped rules", func(c *chain) { c.rules[ri], c.rules[ri-1] = c.rules[ri-1], c.rules[ri] })(ti, ci)
				}
				for ei, e := range c.rules[ri].exprs {
					try("missing expression", func(c *chain) { c.rules[ri].exprs = slices.Delete(c.rules[ri].exprs, ei, ei+1) })(ti, ci)
					try("other expression", func(c *chain) { c.rules[ri].exprs[ei].name += "x" })(ti, ci)
					for at := range e.attrs {
						if padding(e.attrs, at) || at%4 == 3 && headerByte(e, at) {
							continue
						}
						try(fmt.Sprintf("byte %d of %s", at, e.name), func(c *chain) {
							b := bytes.Clone(c.rules[ri].exprs[ei].attrs)
							b[at] ^= 1
							c.rules[ri].exprs[ei].attrs = b
						})(ti, ci)
					}
				}
			}
			if c.hook != nil {
				try("priority", func(c *chain) { c.hook.priority++ })(ti, ci)
				try("hook", func(c *chain) { c.hook.num++ })(ti, ci)
				try("policy", func(c *chain) { c.hook.policy = accept })(ti, ci)
				try("type", func(c *chain) { c.hook.kind = "nat" })(ti, ci)
				try("offload", func(c *chain) { c.hook.flags = 2 })(ti, ci)
				try("device", func(c *chain) { c.hook.devices = append(c.hook.devices, "eth9") })(ti, ci)
				try("no hook", func(c *chain) { c.hook = nil })(ti, ci)
			}
			try("name", func(c *chain) { c.name += "x" })(ti, ci)
		}
	}
	t.Logf("%d changes", n)
}

func clone(c chain) chain {
	c.rules = slices.Clone(c.rules)
	for i := range c.rules {
		c.rules[i].exprs = slices.Clone(c.rules[i].exprs)
	}
	if c.hook != nil {
		h := *c.hook
		h.devices = slices.Clone(h.devices)
		c.hook = &h
	}
	return c
}

// padding reports whether a byte is between two attributes, where it means nothing.
func padding(b []byte, at int) bool {
	real := make([]bool, len(b))
	var mark func(from, to int, deep bool)
	mark = func(from, to int, deep bool) {
		for from+unix.SizeofNlAttr <= to {
			n := int(b[from]) | int(b[from+1])<<8
			for i := from; i < min(from+n, to); i++ {
				real[i] = true
			}
			if b[from+3]&0x80 != 0 { // nested
				for i := from + unix.SizeofNlAttr; i < from+n; i++ {
					real[i] = false
				}
				mark(from+unix.SizeofNlAttr, from+n, true)
			}
			from += (n + 3) &^ 3
		}
	}
	mark(0, len(b), false)
	return !real[at]
}

// headerByte: the flag bits of an attribute's type say how it is written, not what.
func headerByte(e expr, at int) bool { return e.attrs[at]&0x80 != 0 }

// Since Linux 6.16 the chains of a device that is gone stay. They are no gap, unless
// somebody changed them or they are not for a device.
func TestChainsOfGoneDevices(t *testing.T) {
	want := plan("hozen", isolate.Policy{}.Clean(), everything, []string{"eth0"})
	with := func(change func(*chain)) []table {
		found := asKernel(t, plan("hozen", isolate.Policy{}.Clean(), everything, []string{"eth0", "usb0"}))
		if change != nil {
			for i := range found[1].chains {
				if found[1].chains[i].name == "out_usb0" {
					change(&found[1].chains[i])
				}
			}
		}
		return found
	}
	for _, found := range [][]table{with(nil), with(func(c *chain) { c.hook.devices = nil })} {
		if o := compare(want, found, []string{"eth0"}); !o.Complete || o.Digest != o.Expected {
			t.Errorf("a device is gone: %+v", o.Gaps)
		}
	}
	for name, change := range map[string]func(*chain){
		"accepts":        func(c *chain) { c.rules = []rule{{"x", []expr{verdict(accept)}}} },
		"another device": func(c *chain) { c.hook.devices = []string{"eth0"} },
		"another name":   func(c *chain) { c.name = "out" },
	} {
		if o := compare(want, with(change), []string{"eth0"}); o.Complete {
			t.Errorf("%s: not seen", name)
		}
	}
	// The device is back, but its chain does not hold it.
	o := compare(plan("hozen", isolate.Policy{}.Clean(), everything, testLinks[:1]),
		asKernelWithout(t, "eth0"), testLinks[:1])
	if o.Complete || o.Links[0].Egress {
		t.Errorf("a chain without its device covers it: %+v", o)
	}
}

func asKernelWithout(t *testing.T, device string) []table {
	found := asKernel(t, plan("hozen", isolate.Policy{}.Clean(), everything, []string{device}))
	for _, c := range found[1].chains {
		if c.name == egressName(device) {
			c.hook.devices = nil
		}
	}
	return found
}

func TestOthersTablesAreNotOurs(t *testing.T) {
	want := testPlan()[:1]
	got := table{family: unix.NFPROTO_INET, name: "hozen"}
	c := want[0].chains[0]
	err := got.fill(
		[][]byte{chainAttrs("others", c), chainAttrs("hozen", c)},
		[][]byte{ruleAttrs("others", c.name, c.rules[0]), ruleAttrs("hozen", c.name, c.rules[0])})
	if err != nil || len(got.chains) != 1 || len(got.chains[0].rules) != 1 {
		t.Errorf("%d chains, %v", len(got.chains), err)
	}
}

func TestLongCommentIsCutShort(t *testing.T) {
	r := rule{strings.Repeat("c", 300), nil}
	_, _, got, err := parseRule(ruleAttrs("t", "c", r))
	if err != nil || got.comment != r.comment[:127] {
		t.Errorf("%d bytes, %v", len(got.comment), err)
	}
}

// FuzzParse takes what a kernel, or whoever wrote rules into our tables, may answer.
func FuzzParse(f *testing.F) {
	want := testPlan()
	for _, tb := range want {
		for _, c := range tb.chains {
			f.Add(chainAttrs(tb.name, c), ruleAttrs(tb.name, c.name, c.rules[0]), []byte{})
			for _, r := range c.rules {
				f.Add(chainAttrs(tb.name, c), ruleAttrs(tb.name, c.name, r), attr(nil, unix.IFLA_IFNAME, str("eth0")))
			}
		}
	}
	devs := nest(nil, unix.NFTA_CHAIN_HOOK, nest(nil, nftaHookDevs, attr(attr(nil, nftaDeviceName, str("eth0")), 2, str("eth"))))
	f.Add(attr(devs, nftaChainFlags, be32(3)), []byte{}, []byte{0, 1, 0, 0})
	f.Fuzz(func(t *testing.T, c, r, l []byte) {
		_, _ = parseDevice(l)
		_, _ = parseTable(unix.NFPROTO_INET, c)
		for _, family := range families {
			tb := table{family: family, name: "hozen"}
			if err := tb.fill([][]byte{c}, [][]byte{r}); err != nil {
				continue
			}
			o := compare(want, []table{tb}, testLinks)
			if o.Complete {
				t.Fatal("two messages are not a whole isolation")
			}
			// What was understood is understood the same when said again.
			for _, c := range tb.chains {
				_, again, err := parseChain(chainAttrs(tb.name, c))
				if err != nil || again.name != c.name {
					t.Fatalf("chain %q became %q, %v", c.name, again.name, err)
				}
			}
			_ = compare(nil, []table{tb}, nil)
		}
	})
}
