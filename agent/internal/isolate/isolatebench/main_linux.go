// Command isolatebench is the agent's side of what is measured of a cut: the real
// firewall with the real rules. It is run by hozen-bench, which cannot import it, has
// made the network namespace, and does the arithmetic; it is not shipped. It knows
// nothing of bars.
//
// Usage: isolatebench -collectors ADDRESS:PORT,…, with the network namespace of the PC as
// file descriptor 3. Each line of standard input is an order and is answered by one JSON
// object:
//
//	apply        isolate; answers when that was called and had returned
//	replace N    isolate N times in turn, each time with other addresses of the collector
//	restore      give the network back
//
// The end of standard input ends the program; the rules stay.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/nft"
	"hozen/internal/sched"
)

// netNS is the file descriptor of the PC's network namespace.
const netNS = 3

func main() {
	sched.Prepare() // as the agent does
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "isolatebench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("isolatebench", flag.ContinueOnError)
	collectors := flags.String("collectors", "", "`addresses` that stay open, separated by commas")
	if err := flags.Parse(args); err != nil {
		return err
	}
	b := bench{firewall: nft.New(nft.Config{NetNS: netNS})}
	for _, s := range strings.Split(*collectors, ",") {
		at, err := netip.ParseAddrPort(s)
		if err != nil {
			return fmt.Errorf("read collectors: %w", err)
		}
		b.collectors = append(b.collectors, at)
	}
	say := json.NewEncoder(os.Stdout)
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		answer, err := b.obey(ctx, lines.Text())
		if err != nil {
			return fmt.Errorf("%s: %w", lines.Text(), err)
		}
		if err := say.Encode(answer); err != nil {
			return err
		}
	}
	return b.firewall.Close()
}

type bench struct {
	firewall   *nft.Firewall
	collectors []netip.AddrPort
}

// said is the answer to an order, times on CLOCK_MONOTONIC in ns.
type said struct {
	Called   int64 `json:"called"`
	Returned int64 `json:"returned"`
}

func (b bench) obey(ctx context.Context, line string) (s said, err error) {
	var n int
	switch {
	case line == "restore":
		return s, b.firewall.Restore(ctx)
	case line == "apply":
		n = 1
	default:
		if _, err := fmt.Sscanf(line, "replace %d", &n); err != nil {
			return s, errors.New("not an order")
		}
	}
	policies := [2]isolate.Policy{{Mode: isolate.Standard, Collectors: b.collectors}}
	policies[1] = policies[0]
	policies[1].Collectors = append([]netip.AddrPort{netip.MustParseAddrPort("192.0.2.9:7443")}, b.collectors...)
	if s.Called, err = now(); err != nil {
		return s, err
	}
	for i := range n {
		if err := b.firewall.Apply(ctx, policies[i%2]); err != nil {
			return s, err
		}
	}
	if s.Returned, err = now(); err != nil {
		return s, err
	}
	o, err := b.firewall.Observe(ctx, &policies[(n-1)%2])
	if err == nil && !o.Complete {
		err = fmt.Errorf("not isolated: %+v", o)
	}
	return s, err
}

func now() (int64, error) {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0, fmt.Errorf("read clock: %w", err)
	}
	return ts.Nano(), nil
}
