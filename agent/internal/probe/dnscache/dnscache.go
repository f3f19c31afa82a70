package dnscache

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path"
	"path/filepath"
	"strings"
	"time"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	socket   = "run/systemd/resolve/io.systemd.Resolve.Monitor"
	question = `{"method":"io.systemd.Resolve.Monitor.DumpCache","parameters":{}}` + "\x00"
	// maxAnswer is the most bytes of an answer. systemd-resolved keeps 4,096 names for each
	// of its scopes.
	maxAnswer = 8 << 20
	patience  = 1500 * time.Millisecond
)

// Config makes a probe.
type Config struct {
	// Root is where the resolver's socket is looked up. Default "/".
	Root string
	// Pass tells which resolvers run. Optional: nil, and none is known by its process.
	Pass *scan.Pass
}

// New returns the probe.
func New(c Config) probe.Probe {
	if c.Root == "" {
		c.Root = "/"
	}
	return facts.New(facts.Config{
		Kind: artifact.KindDNSCache, Schema: record.SchemaDNSCache, Volatility: probe.Presence, OS: system,
		Read: func(ctx context.Context, o *facts.Out) error { return here(ctx, c, o) },
	})
}

// read asks the resolver that answers, and tells of the others why they do not.
func read(ctx context.Context, c Config, o *facts.Out) error {
	told, namesakes := 0, 0
	var refused error
	b, err := ask(ctx, filepath.Join(c.Root, filepath.FromSlash(socket)))
	if err == nil {
		p := parser{epoch: bootEpoch(), miss: o.Missed, emit: func(d *record.DNSCache) error {
			refused = o.Write(d)
			return refused
		}}
		err = p.parse(b)
	}
	switch {
	case refused != nil:
		return refused
	case err == nil:
		told++
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.Is(err, fs.ErrNotExist):
		told++
		o.Miss(fmt.Errorf("ask systemd-resolved: %w", err))
	}
	if c.Pass != nil {
		procs, _ := c.Pass.Processes(ctx) // what is missing of them is told by their own probe
		for _, p := range procs {
			why := silent(p.Comm)
			if why == "" || p.Comm == resolved && told > 0 {
				continue
			}
			if !genuine(p) {
				namesakes++
				continue
			}
			told++
			o.Miss(fmt.Errorf("%s (process %d) %s: %w", p.Comm, p.PID, why, errors.ErrUnsupported))
		}
	}
	if told == 0 && namesakes > 0 {
		return fmt.Errorf("no resolver that keeps a cache runs here, only %d processes with the name of one: %w", namesakes, errors.ErrUnsupported)
	}
	if told == 0 {
		return fmt.Errorf("no resolver that keeps a cache runs here; the C library keeps none: %w", errors.ErrUnsupported)
	}
	return ctx.Err()
}

// resolved is what the kernel shows of the name systemd-resolved.
const resolved = "systemd-resolve"

// genuine reports whether a process with the name of a resolver is one as far as can be
// told: anybody can take the name, but only root can run as root, or put a program into
// the system's folders.
func genuine(p *record.Process) bool {
	if p.KernelOnly {
		return false
	}
	if p.EUID == 0 {
		return true
	}
	dir, base := path.Split(p.Exe)
	for _, of := range []string{"/usr/", "/bin/", "/sbin/", "/lib/"} {
		if strings.HasPrefix(dir, of) && !strings.HasPrefix(dir, "/usr/local/") {
			return strings.HasPrefix(base, p.Comm)
		}
	}
	return false
}

// silent says why a resolver, by the name of its process, does not tell its cache; empty
// when it is none.
func silent(comm string) string {
	switch comm {
	case resolved:
		return "is older than 254 and does not tell its cache"
	case "nscd":
		return "does not tell its cache: only counts of it can be asked for"
	case "dnsmasq":
		return "tells its cache to its log alone, and only when it gets a signal, which would change the PC"
	case "unbound", "named", "kresd", "pdns_recursor", "coredns", "dnscrypt-proxy", "stubby", "pdnsd":
		return "tells its cache only to who has its keys or its control socket"
	}
	return ""
}

// ask sends the question and reads the answer, which ends with a zero byte
// (varlink.org, "Interface Definition").
func ask(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := io.WriteString(conn, question); err != nil {
		return nil, err
	}
	b, err := bufio.NewReader(io.LimitReader(conn, maxAnswer)).ReadBytes(0)
	switch {
	case errors.Is(err, io.EOF) && len(b) == maxAnswer:
		return nil, fmt.Errorf("its answer is longer than %d bytes", maxAnswer)
	case errors.Is(err, io.EOF) && len(b) == 0: // some versions close the door on who is not root
		return nil, fmt.Errorf("it does not answer: %w", fs.ErrPermission)
	case err != nil:
		return nil, err
	}
	return bytes.TrimSuffix(b, []byte{0}), nil
}
