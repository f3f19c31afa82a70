package isolation

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/netlab"
)

// ruleWatch notes when transactions that add rules are in force in a network namespace, as the
// kernel tells whoever asks (nfnetlink group NFNLGRP_NFTABLES).
type ruleWatch struct {
	f  *os.File
	mu sync.Mutex
	at []time.Time
}

// ruleBuffer is how much of what the kernel tells may wait, in bytes.
const ruleBuffer = 4 << 20

func watchRules(h *netlab.Host) (*ruleWatch, error) {
	fd := -1
	err := h.Do(func() (err error) {
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER); err != nil {
			return err
		}
		return errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, ruleBuffer),
			unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.NFNLGRP_NFTABLES - 1)}))
	})
	if err != nil {
		if fd >= 0 {
			err = errors.Join(err, unix.Close(fd))
		}
		return nil, fmt.Errorf("listen for rules: %w", err)
	}
	w := &ruleWatch{f: os.NewFile(uintptr(fd), "nftables")}
	go w.run()
	return w, nil
}

func (w *ruleWatch) close() error { return w.f.Close() }

// run reads until the socket is closed.
func (w *ruleWatch) run() {
	b, rules := make([]byte, 1<<16), false
	for {
		n, err := w.f.Read(b)
		now := time.Now()
		if errors.Is(err, fs.ErrClosed) {
			return
		}
		if err != nil {
			continue // ENOBUFS: what was lost is missed by since
		}
		if inForce(b[:n], &rules) {
			w.mu.Lock()
			w.at = append(w.at, now)
			w.mu.Unlock()
		}
	}
}

// inForce reports whether messages of the kernel (netlink(7)) end a transaction that added
// rules; rules carries over from one datagram to the next.
func inForce(b []byte, rules *bool) (yes bool) {
	for len(b) >= unix.NLMSG_HDRLEN {
		size, kind := int(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint16(b[4:])
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return yes
		}
		switch kind {
		case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWRULE:
			*rules = true
		case unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN:
			yes, *rules = yes || *rules, false
		}
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
	}
	return yes
}

// since is how long after a moment the first rules were in force. What was noted is
// forgotten.
func (w *ruleWatch) since(begun time.Time) (time.Duration, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := w.at
	w.at = nil
	for _, t := range at {
		if t.After(begun) {
			return t.Sub(begun), nil
		}
	}
	return 0, errors.New("the kernel did not tell of rules that came in force")
}
