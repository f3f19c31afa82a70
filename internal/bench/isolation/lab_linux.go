package isolation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"hozen/internal/bench/program"
	"hozen/internal/netlab"
)

// measuring is the program that cuts, see its own documentation.
const measuring = "hozen/agent/internal/isolate/isolatebench"

// families are the IP versions.
func families() []int { return []int{4, 6} }

// lab is a PC in a network namespace, a peer at the other end of its cable, and the
// program that cuts the PC off.
type lab struct {
	*netlab.Pair
	cutter *exec.Cmd
	orders io.WriteCloser
	said   *json.Decoder
}

func newLab(ctx context.Context, c Config) (_ *lab, err error) {
	bin, err := program.Build(ctx, c.Dir, measuring)
	if err != nil {
		return nil, err
	}
	pair, err := netlab.NewPair()
	if err != nil {
		return nil, err
	}
	l := &lab{Pair: pair}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if !pair.A.V6.IsValid() {
		return nil, errors.New("this kernel has no IPv6, which is half of what is measured")
	}
	var collectors []string
	collector := pair.Host(3)
	for _, f := range families() {
		collectors = append(collectors, collector.At(f, 7443))
	}
	fd, err := unix.FcntlInt(uintptr(pair.PC.FD()), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("hand the namespace on: %w", err)
	}
	ns := os.NewFile(uintptr(fd), "netns")
	defer ns.Close() // the child has its own
	l.cutter = exec.CommandContext(ctx, bin, "-collectors", strings.Join(collectors, ","))
	l.cutter.Stderr, l.cutter.ExtraFiles = c.Note, []*os.File{ns}
	if l.orders, err = l.cutter.StdinPipe(); err != nil {
		return nil, fmt.Errorf("start %s: %w", measuring, err)
	}
	out, err := l.cutter.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", measuring, err)
	}
	l.said = json.NewDecoder(out)
	if err := l.cutter.Start(); err != nil {
		l.orders = nil
		return nil, fmt.Errorf("start %s: %w", measuring, err)
	}
	return l, nil
}

func (l *lab) close() error {
	var err error
	if l.orders != nil {
		l.orders.Close() // which is how it is told
		if err = l.cutter.Wait(); err != nil {
			err = fmt.Errorf("%s: %w", measuring, err)
		}
	}
	return errors.Join(err, l.Pair.Close())
}

// done is when an order was begun and had been carried out, on CLOCK_MONOTONIC in ns.
type done struct{ Called, Returned int64 }

func (l *lab) order(what string) (d done, err error) {
	if _, err = io.WriteString(l.orders, what+"\n"); err == nil {
		err = l.said.Decode(&d)
	}
	if err != nil {
		err = fmt.Errorf("%s: %s: %w", measuring, what, err)
	}
	return d, err
}

// monotonic is CLOCK_MONOTONIC in ns, which is the same in every process.
func monotonic() int64 {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic(err) // every Linux has it (clock_gettime(2))
	}
	return ts.Nano()
}

// flow is an established connection that moves bytes both ways all the time.
type flow struct {
	ends [2]net.Conn
	last [2]atomic.Int64 // when bytes last arrived at each end
}

// pace is the time between two writes of a flow at each end.
const pace = 500 * time.Microsecond

func newFlow(ctx context.Context, from, to *netlab.Host, address string) (*flow, error) {
	l, err := to.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	defer l.Close()
	f := &flow{}
	if f.ends[0], err = from.Dial(ctx, "tcp", address); err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	if f.ends[1], err = l.Accept(); err != nil {
		return nil, errors.Join(fmt.Errorf("accept: %w", err), f.ends[0].Close())
	}
	for i, c := range f.ends {
		go func() {
			tick := time.NewTicker(pace)
			defer tick.Stop()
			for range tick.C {
				if _, err := c.Write(make([]byte, 64)); err != nil {
					return
				}
			}
		}()
		go func() {
			b := make([]byte, 64<<10)
			for {
				if _, err := c.Read(b); err != nil {
					return
				}
				f.last[i].Store(monotonic())
			}
		}()
	}
	return f, nil
}

// moving waits until bytes arrive at both ends.
func (f *flow) moving(ctx context.Context) error {
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for from := [2]int64{f.last[0].Load(), f.last[1].Load()}; f.last[0].Load() == from[0] || f.last[1].Load() == from[1]; {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for bytes to move: %w", ctx.Err())
		}
	}
	return nil
}

func (f *flow) close() {
	for _, c := range f.ends {
		if t, ok := c.(*net.TCPConn); ok {
			_ = t.SetLinger(0) // what was cut is not sent once more
		}
		_ = c.Close() // nobody is told of errors of a connection that goes away
	}
}

// flows are connections over IPv4 and IPv6 that the PC made and that were made to it.
type flows []*flow

func (l *lab) flows(ctx context.Context) (fs flows, err error) {
	defer func() {
		if err != nil {
			fs.close()
		}
	}()
	for _, family := range families() {
		for _, way := range []struct {
			from, to *netlab.Host
			address  netip.AddrPort
		}{{l.PC, l.Peer, l.B.AddrPort(family, 9000)}, {l.Peer, l.PC, l.A.AddrPort(family, 9001)}} {
			f, err := newFlow(ctx, way.from, way.to, way.address.String())
			if err != nil {
				return fs, err
			}
			fs = append(fs, f)
		}
	}
	for _, f := range fs {
		if err := f.moving(ctx); err != nil {
			return fs, err
		}
	}
	return fs, nil
}

// last is when the last byte arrived anywhere.
func (fs flows) last() (at int64) {
	for _, f := range fs {
		at = max(at, f.last[0].Load(), f.last[1].Load())
	}
	return at
}

func (fs flows) close() {
	for _, f := range fs {
		f.close()
	}
}

// wait lets time pass.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
