package netfilter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// maxMessages bounds each table that is asked for: a router follows a quarter of a
// million connections.
const maxMessages = 1 << 18

// List lists the filters of the platform below the firewall of Windows, and says how many could
// not be read.
type List func(context.Context) (filters []Filter, unread int, err error)

// New returns the probe of the rules. The files of the system are below root, usually
// "/"; the kernel is asked in any case, but for the tables of another root's iptables. On
// Windows list is asked instead; it may be nil.
func New(root string, list List) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindNetfilter, Schema: record.SchemaNetfilter, Volatility: probe.Presence, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, root, list, o) },
	})
}

// NewConntrack returns the probe of the tracked connections.
func NewConntrack(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindConntrack, Schema: record.SchemaConntrack, Volatility: probe.Presence, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return flows(ctx, root, o) },
	})
}

// question is one dump of nfnetlink.
type question struct {
	subsystem, typ byte
	family         byte
	attrs          []byte
}

// errMany ends a dump that has more rows than are taken.
var errMany = errors.New("more rows than are taken")

// errChanged says that rows may repeat or lack a few.
var errChanged = errors.New("it changed while it was read")

func rules(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, l := range [][2]string{{"ip", "ip_tables_names"}, {"ip6", "ip6_tables_names"}, {"arp", "arp_tables_names"}} {
		// The calling thread's own, where there are such folders: it may be in a namespace.
		b, err := r.File("proc/thread-self/net/"+l[1], maxNames)
		if errors.Is(err, fs.ErrNotExist) {
			b, err = r.File("proc/net/"+l[1], maxNames)
		}
		o.Miss(err)
		for name := range procfs.Lines(b) {
			f := record.FilterObject{Type: record.FilterLegacy, Family: l[0], Table: text(bytes.TrimSpace(name))}
			if err := o.Write(&f); err != nil {
				return err
			}
			if l[0] == "arp" || root != "/" {
				continue
			}
			err := legacy(ctx, l[0], f.Table, func(f *record.FilterObject) error { return o.Write(f) })
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				o.Miss(fmt.Errorf("read table %s of %s: %w", f.Table, l[0], err))
			}
		}
	}
	if !loaded(r, "nf_tables") {
		return ctx.Err()
	}
	var sets []record.FilterObject
	for _, what := range []struct {
		typ  byte
		kind string
	}{
		{msgGetTable, record.FilterTable}, {msgGetChain, record.FilterChain}, {msgGetRule, record.FilterRule},
		{msgGetSet, record.FilterSet}, {msgGetObj, record.FilterObj}, {msgGetFlowtable, record.FilterFlow},
	} {
		err := ask(ctx, question{subsystem: subsysTables, typ: what.typ}, func(b []byte) error {
			f, err := parseObject(what.kind, b)
			if err != nil {
				o.Miss(err)
				return nil
			}
			if what.kind == record.FilterSet {
				sets = append(sets, f)
			}
			return o.Write(&f)
		})
		if err := stop(ctx, o, what.kind+"s", err); err != nil {
			return err
		}
	}
	for _, s := range sets {
		q := question{subsystem: subsysTables, typ: msgGetSetElem, family: familyNumber(s.Family)}
		q.attrs = appendText(appendText(nil, 1, s.Table), 2, s.Name) // NFTA_SET_ELEM_LIST_TABLE, …_SET
		err := ask(ctx, q, func(b []byte) error {
			f, err := parseObject(record.FilterElements, b)
			if err != nil {
				o.Miss(err)
				return nil
			}
			return o.Write(&f)
		})
		if err := stop(ctx, o, "elements of "+s.Name, err); err != nil {
			return err
		}
	}
	return nil
}

func flows(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.In(ctx, root)
	if err != nil {
		return err
	}
	defer r.Close()
	if !loaded(r, "nf_conntrack_netlink") {
		return fmt.Errorf("connections are not followed, or nobody could ask: %w", fs.ErrNotExist)
	}
	err = ask(ctx, question{subsystem: subsysConntrack, typ: msgGetFlow}, func(b []byte) error {
		f, err := parseFlow(b)
		if err != nil {
			o.Miss(err)
			return nil
		}
		return o.Write(&f)
	})
	if unanswered(err) {
		return fmt.Errorf("connections are not followed: %w: %w", fs.ErrNotExist, err)
	}
	return stop(ctx, o, "connections", err)
}

// stop tells a table that could not be read; the error is one that ends the reading.
func stop(ctx context.Context, o *facts.Out, what string, err error) error {
	if err == nil || unanswered(err) { // an older kernel knows no such things
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	o.Miss(fmt.Errorf("list %s: %w", what, err))
	return nil
}

const maxNames = 64 << 10

// loaded reports whether asking loads nothing: the module is loaded or compiled in. A
// kernel without modules has no list of them.
func loaded(r facts.Root, module string) bool {
	b, err := r.File("proc/modules", 4<<20)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	for line := range procfs.Lines(b) {
		if name, _ := procfs.Word(line); string(name) == module {
			return true
		}
	}
	release := r.Value("proc/sys/kernel/osrelease")
	if release == "" || strings.Contains(release, "/") {
		return false
	}
	for _, lib := range []string{"lib", "usr/lib"} { // the first is often a link
		builtin, _ := r.File(lib+"/modules/"+release+"/modules.builtin", 1<<20)
		if bytes.Contains(builtin, []byte("/"+module+".ko")) {
			return true
		}
	}
	return false
}
