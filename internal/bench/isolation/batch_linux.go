package isolation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/netlab"
)

// batch is the bare counterpart of a cut: the very rules that the agent puts in force, read
// back from the kernel once and sent in one transaction by an open socket, with nothing
// before and nothing after it. Reference: include/uapi/linux/netfilter/nf_tables.h and
// netlink(7).
type batch struct {
	fd       int
	cut, end []byte
}

// newBatch copies the tables that are in force in h.
func newBatch(h *netlab.Host) (*batch, error) {
	b := &batch{fd: -1}
	err := h.Do(func() (err error) {
		b.fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
		if err == nil {
			err = unix.Bind(b.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		}
		return err
	})
	if err == nil {
		err = b.copyTables()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy the rules in force: %w", err), b.close())
	}
	return b, nil
}

// copyTables makes tables, deletes them and makes them again with all that is in them, as
// whoever replaces them must.
func (b *batch) copyTables() error {
	var cut, end [][]byte
	for _, family := range []byte{unix.NFPROTO_INET, unix.NFPROTO_NETDEV} {
		// What the kernel says of itself cannot be ordered: handles, flags of who owns a
		// table, numbers of users.
		tables, err := b.dump(unix.NFT_MSG_GETTABLE, family, unix.NFTA_TABLE_NAME)
		if err != nil {
			return err
		}
		chains, err := b.dump(unix.NFT_MSG_GETCHAIN, family, unix.NFTA_CHAIN_TABLE, unix.NFTA_CHAIN_NAME, unix.NFTA_CHAIN_HOOK, unix.NFTA_CHAIN_POLICY, unix.NFTA_CHAIN_TYPE)
		if err != nil {
			return err
		}
		rules, err := b.dump(unix.NFT_MSG_GETRULE, family, unix.NFTA_RULE_TABLE, unix.NFTA_RULE_CHAIN, unix.NFTA_RULE_EXPRESSIONS, unix.NFTA_RULE_USERDATA)
		if err != nil {
			return err
		}
		if len(tables) != 1 || len(chains) == 0 || len(rules) == 0 {
			return fmt.Errorf("%d tables, %d chains and %d rules of family %d", len(tables), len(chains), len(rules), family)
		}
		create := nfMessage(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, family, tables[0])
		remove := nfMessage(unix.NFT_MSG_DELTABLE, 0, family, tables[0])
		cut, end = append(cut, create, remove, create), append(end, bytes.Clone(remove))
		for _, c := range chains {
			cut = append(cut, nfMessage(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE, family, c))
		}
		for _, r := range rules {
			cut = append(cut, nfMessage(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND, family, r))
		}
	}
	b.cut, b.end = transaction(cut...), transaction(end...)
	return unix.SetsockoptInt(b.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 2*len(b.cut)+64<<10)
}

// dump lists what there is of a kind, of each the attributes keep alone.
func (b *batch) dump(typ uint16, family byte, keep ...uint16) (all [][]byte, err error) {
	ask := message(unix.NFNL_SUBSYS_NFTABLES<<8|typ, unix.NLM_F_REQUEST|unix.NLM_F_DUMP, []byte{family, unix.NFNETLINK_V0, 0, 0})
	if err := unix.Sendto(b.fd, ask, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to nf_tables: %w", err)
	}
	buf := make([]byte, 256<<10)
	for {
		n, _, err := unix.Recvfrom(b.fd, buf, 0)
		if err != nil {
			return nil, fmt.Errorf("hear from nf_tables: %w", err)
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size, kind := int(binary.NativeEndian.Uint32(rest)), binary.NativeEndian.Uint16(rest[4:])
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return nil, errors.New("nf_tables says something torn")
			}
			switch kind {
			case unix.NLMSG_DONE:
				return all, nil
			case unix.NLMSG_ERROR:
				return nil, errors.New("nf_tables refuses to list")
			}
			all = append(all, only(rest[unix.SizeofNlMsghdr+4:size], keep))
			rest = rest[min((size+3)&^3, len(rest)):]
		}
	}
}

// only returns the attributes of some kinds.
func only(b []byte, keep []uint16) (out []byte) {
	for len(b) >= 4 {
		size, typ := int(binary.NativeEndian.Uint16(b)), binary.NativeEndian.Uint16(b[2:])
		if size < 4 || size > len(b) {
			break
		}
		whole := b[:min((size+3)&^3, len(b))]
		if slices.Contains(keep, typ&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)) {
			out = append(out, whole...)
		}
		b = b[len(whole):]
	}
	return out
}

func (b *batch) close() error {
	if b.fd < 0 {
		return nil
	}
	return unix.Close(b.fd)
}

// commit sends a transaction and returns how long it took to the kernel's answer.
func (b *batch) commit(t []byte) (time.Duration, error) {
	begun := monotonic()
	if err := unix.Sendto(b.fd, t, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("send to nf_tables: %w", err)
	}
	answer := make([]byte, 64<<10)
	n, _, err := unix.Recvfrom(b.fd, answer, 0)
	took := time.Duration(monotonic() - begun)
	if err != nil {
		return 0, fmt.Errorf("hear from nf_tables: %w", err)
	}
	if n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return 0, fmt.Errorf("nf_tables answered %d bytes that say nothing", n)
	}
	if no := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); no != 0 {
		return 0, fmt.Errorf("nf_tables refused: %w", unix.Errno(-no))
	}
	return took, nil
}

// transaction puts messages between the marks of a batch; the last is answered.
func transaction(messages ...[]byte) []byte {
	edge := func(typ uint16) []byte {
		return message(typ, unix.NLM_F_REQUEST, append([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, 0, unix.NFNL_SUBSYS_NFTABLES))
	}
	last := messages[len(messages)-1]
	binary.NativeEndian.PutUint16(last[6:], binary.NativeEndian.Uint16(last[6:])|unix.NLM_F_ACK)
	return concat(edge(unix.NFNL_MSG_BATCH_BEGIN), concat(messages...), edge(unix.NFNL_MSG_BATCH_END))
}

func nfMessage(typ, flags uint16, family byte, attributes []byte) []byte {
	return message(unix.NFNL_SUBSYS_NFTABLES<<8|typ, unix.NLM_F_REQUEST|flags, append([]byte{family, unix.NFNETLINK_V0, 0, 0}, attributes...))
}

func message(typ, flags uint16, body []byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, flags)
	return aligned(append(append(b, make([]byte, 8)...), body...))
}

func aligned(b []byte) []byte { return append(b, make([]byte, -len(b)&3)...) }

func concat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
