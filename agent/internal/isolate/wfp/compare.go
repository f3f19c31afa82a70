package wfp

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/sorted"
)

// String is the same for filters that do the same: without its name, and without what BFE
// adds or orders by itself.
func (f filter) String() string {
	cs := make([]string, len(f.conditions))
	for i, c := range f.conditions {
		cs[i] = c.String()
	}
	if f.unread != nil {
		cs = append(cs, "what is not understood")
	}
	slices.Sort(cs)
	return fmt.Sprintf("filter %s flags %x provider %s layer %s sublayer %s weight %s action %x if %s", f.key, f.flags&^filterIgnored,
		f.provider, f.layer, f.sublayer, f.weight, f.action, strings.Join(cs, " and "))
}

func (p provider) String() string {
	return fmt.Sprintf("provider %s flags %x service %q", p.key, p.flags&objectPersistent, strings.ToLower(p.service))
}

func (s sublayer) String() string {
	return fmt.Sprintf("sublayer %s flags %x provider %s weight %d", s.key, s.flags&objectPersistent, s.provider, s.weight)
}

// ownFilters are those of ours.
func (i installed) ownFilters() (fs []filter) {
	for _, f := range i.filters {
		if f.ours() {
			fs = append(fs, f)
		}
	}
	return fs
}

// ownSublayer is our sublayer, or nil.
func (i installed) ownSublayer() *sublayer {
	for n := range i.sublayers {
		if i.sublayers[n].key == SublayerKey {
			return &i.sublayers[n]
		}
	}
	return nil
}

// present reports whether something of ours may be in force. A provider alone is only a
// name.
func (i installed) present() bool { return i.ownSublayer() != nil || len(i.ownFilters()) > 0 }

// lines says what is there of ours, one object each, in an order of its own.
func (i installed) lines() []string {
	var out []string
	if i.provider != nil {
		out = append(out, i.provider.String())
	}
	if s := i.ownSublayer(); s != nil {
		out = append(out, s.String())
	}
	for _, f := range i.ownFilters() {
		out = append(out, f.String())
	}
	slices.Sort(out)
	return out
}

func digest(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	h := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(h[:])
}

// gapsMax bounds what is told of differences.
const gapsMax = 32

// compare says how what an engine has differs from what is wanted; nil means nothing of
// ours.
func compare(want *installed, have installed) isolate.Observation {
	o := isolate.Observation{Present: have.present()}
	if o.Present {
		o.Digest = digest(have.lines())
		o.Tables = have.tables()
	}
	if want == nil {
		if o.Present {
			o.Gaps = []string{"filters of ours are in force that nobody asked for"}
		}
		o.Complete = !o.Present
		return o
	}
	o.Expected = digest(want.lines())
	o.Gaps = gaps(*want, have)
	o.Complete = len(o.Gaps) == 0
	return o
}

// tables names what is there of ours.
func (i installed) tables() (names []string) {
	if i.ownSublayer() != nil {
		names = append(names, "wfp sublayer "+SublayerKey.String())
	}
	count := map[GUID]int{}
	for _, f := range i.ownFilters() {
		count[f.layer]++
	}
	for key, n := range count {
		names = append(names, fmt.Sprintf("wfp %s (%d filters)", layerName(key), n))
	}
	sorted.Func(names, strings.Compare)
	return names
}

// gaps are the differences in words, at most gapsMax.
func gaps(want, have installed) (out []string) {
	object := func(what, wanted, found string) {
		switch {
		case found == "":
			out = append(out, what+" is missing")
		case wanted != found:
			out = append(out, what+" was changed")
		}
	}
	object("provider", want.provider.String(), stringOf(have.provider))
	object("sublayer", want.ownSublayer().String(), stringOf(have.ownSublayer()))
	found := map[GUID]filter{}
	for _, f := range have.filters {
		found[f.key] = f
	}
	wanted := map[GUID]bool{}
	for _, f := range want.filters {
		wanted[f.key] = true
		if g, ok := found[f.key]; ok {
			object(f.title(), f.String(), g.String())
		} else {
			object(f.title(), f.String(), "")
		}
	}
	for _, f := range have.ownFilters() {
		if !wanted[f.key] {
			out = append(out, fmt.Sprintf("%s was added", f.title()))
		}
	}
	if len(out) > gapsMax {
		out = append(out[:gapsMax], fmt.Sprintf("and %d more", len(out)-gapsMax))
	}
	return out
}

func stringOf[T any, P interface {
	*T
	fmt.Stringer
}](p P) string {
	if p == nil {
		return ""
	}
	return p.String()
}

// title names a filter for people.
func (f filter) title() string {
	name := strings.TrimPrefix(f.name, namePrefix)
	if len(name) > 100 {
		name = strings.ToValidUTF8(name[:100], "")
	}
	return fmt.Sprintf("filter %q (%s)", name, f.key)
}
