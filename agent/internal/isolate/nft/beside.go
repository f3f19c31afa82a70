//go:build linux

package nft

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/sorted"
)

var _ isolate.Bystander = (*Firewall)(nil)

// OthersRules implements [isolate.Bystander]: every table but ours with its chains, rules,
// sets, named objects and flow tables. It reads again when somebody changed any rule meanwhile.
// What ip_tables keeps beside nf_tables is not in it; we never touch that either.
func (f *Firewall) OthersRules(ctx context.Context) ([]string, error) {
	for range 5 {
		before, err := f.generation(ctx)
		if err != nil {
			return nil, err
		}
		lines, err := f.othersRules(ctx)
		if err != nil {
			return nil, err
		}
		if after, err := f.generation(ctx); err != nil || after == before {
			return lines, err
		}
	}
	return nil, errChanging
}

// besides are what tables hold and the attributes of each that are left out, because the
// kernel changes them by itself: handles, how often something is used, counts. Numbers as in
// nf_tables.h. The order of chains and rules counts, that of sets and objects does not.
var besides = [...]struct {
	get  uint16
	skip []uint16
}{
	{unix.NFT_MSG_GETCHAIN, []uint16{unix.NFTA_CHAIN_HANDLE, unix.NFTA_CHAIN_USE, unix.NFTA_CHAIN_COUNTERS, nftaPad}},
	{unix.NFT_MSG_GETRULE, []uint16{unix.NFTA_RULE_HANDLE, unix.NFTA_RULE_POSITION, nftaRulePad}},
	{unix.NFT_MSG_GETSET, []uint16{unix.NFTA_SET_ID, nftaSetPad, nftaSetHandle, nftaSetCount}},
	{unix.NFT_MSG_GETOBJ, []uint16{nftaObjData, nftaObjUse, nftaObjHandle, nftaObjPad}},
	{nftMsgGetFlowtable, []uint16{nftaFlowUse, nftaFlowHandle, nftaFlowPad}},
}

// What x/sys does not name (nf_tables.h).
const (
	nftMsgGetFlowtable = 23

	nftaPad, nftaRulePad                            = 9, 8
	nftaSetPad, nftaSetHandle, nftaSetCount         = 14, 16, 20
	nftaObjData, nftaObjUse, nftaObjHandle          = 4, 5, 6
	nftaObjPad                                      = 7
	nftaFlowUse, nftaFlowHandle, nftaFlowPad        = 4, 5, 6
	nftaName                                        = 1 // NFTA_*_TABLE, or a table's own name
	nftaSetName, nftaSetFlags                       = 2, 3
	setTimeout, setEval                      uint32 = 0x10, 0x20
)

func (f *Firewall) othersRules(ctx context.Context) ([]string, error) {
	type key struct {
		family byte
		name   string
	}
	tables, err := f.ask(ctx, message(unix.NFT_MSG_GETTABLE, netlink.Dump, unix.AF_UNSPEC, nil))
	if err != nil {
		return nil, err
	}
	all := map[key][]byte{}
	ours := func(k key) bool {
		return k.name == f.cfg.Table && (k.family == unix.NFPROTO_INET || k.family == unix.NFPROTO_NETDEV)
	}
	of := func(m netlink.Message) key {
		k := key{}
		if len(m.Data) > 0 {
			k.family = m.Data[0]
		}
		_ = each(body(m), func(typ uint16, v []byte) error {
			if typ == nftaName {
				k.name = text(v)
			}
			return nil
		})
		return k
	}
	for _, m := range tables {
		t, err := parseTable(of(m).family, body(m))
		if err != nil {
			return nil, err
		}
		if k := of(m); !ours(k) {
			all[k] = fmt.Appendf(nil, "%#x", t.effective())
		}
	}
	for _, what := range besides {
		msgs, err := f.ask(ctx, message(what.get, netlink.Dump, unix.AF_UNSPEC, nil))
		if err != nil && what.get > unix.NFT_MSG_GETSET && (errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL)) {
			continue // a kernel that has no such things has none of them
		}
		if err != nil {
			return nil, err
		}
		var unordered [][]byte
		for _, m := range msgs {
			k := of(m)
			if _, known := all[k]; !known {
				continue
			}
			line := fmt.Appendf(nil, "\n%d ", what.get)
			line = normal(line, body(m), what.skip, what.get == unix.NFT_MSG_GETRULE)
			if what.get == unix.NFT_MSG_GETCHAIN || what.get == unix.NFT_MSG_GETRULE {
				all[k] = append(all[k], line...)
				continue
			}
			if what.get == unix.NFT_MSG_GETSET {
				sum, err := f.elements(ctx, k.family, body(m))
				if err != nil {
					return nil, err
				}
				line = append(line, sum...)
			}
			unordered = append(unordered, append([]byte{k.family}, append(append([]byte(k.name), 0), line...)...))
		}
		sorted.Func(unordered, bytes.Compare)
		for _, u := range unordered {
			name, line, _ := bytes.Cut(u[1:], []byte{0})
			k := key{u[0], string(name)}
			all[k] = append(all[k], line...)
		}
	}
	var lines []string
	for k, b := range all {
		lines = append(lines, fmt.Sprintf("%s %s %x", familyNames[k.family], k.name, sha256.Sum256(b)))
	}
	sorted.Func(lines, cmp.Compare[string])
	return lines, nil
}

// normal appends attributes by number and value but those to skip.
func normal(out, b []byte, skip []uint16, rule bool) []byte {
	_ = each(b, func(typ uint16, v []byte) error {
		switch {
		case slices.Contains(skip, typ):
		case rule && typ == unix.NFTA_RULE_EXPRESSIONS:
			return each(v, func(_ uint16, v []byte) error {
				e, err := parseExpr(v)
				if e.name == "quota" || e.name == "last" || e.name == "connlimit" { // they count too
					e.attrs = nil
				}
				out = e.append(append(out, ' '))
				return err
			})
		default:
			out = fmt.Appendf(out, " %d=%x", typ, v)
		}
		return nil
	})
	return out
}

// elements is the digest of a set's elements in any order, empty for one whose elements
// come and go by themselves.
func (f *Firewall) elements(ctx context.Context, family byte, set []byte) ([]byte, error) {
	var table, name string
	var flags uint32
	if err := each(set, func(typ uint16, v []byte) error {
		switch typ {
		case nftaName:
			table = text(v)
		case nftaSetName:
			name = text(v)
		case nftaSetFlags:
			return number(v, &flags)
		}
		return nil
	}); err != nil || flags&(setTimeout|setEval) != 0 {
		return nil, err
	}
	b := attr(attr(nil, unix.NFTA_SET_ELEM_LIST_TABLE, str(table)), unix.NFTA_SET_ELEM_LIST_SET, str(name))
	msgs, err := f.ask(ctx, message(unix.NFT_MSG_GETSETELEM, netlink.Dump, family, b))
	if err != nil {
		return nil, err
	}
	var list [][]byte
	for _, m := range msgs {
		_ = each(body(m), func(typ uint16, v []byte) error {
			if typ != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				return nil
			}
			return each(v, func(_ uint16, v []byte) error {
				// All but key, data, flags, object and the end of a range changes by itself.
				list = append(list, normal(nil, v, []uint16{4, 5, 6, 7, 8, 11}, false))
				return nil
			})
		})
	}
	sorted.Func(list, bytes.Compare)
	sum := sha256.Sum256(bytes.Join(list, []byte("\n")))
	return fmt.Appendf(nil, " elements %x", sum), nil
}
