package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"hozen/internal/netlab"
)

// practiceVar tells a copy of this program which program of the practice PC it is.
const practiceVar = "HOZEN_PRACTICE"

// beat is the time between two blocks of a practice flow.
const beat = 50 * time.Millisecond

// PracticePC is a PC to practise on: a network namespace with programs that listen
// and that keep bytes moving to a server outside, over IPv4 and IPv6.
type PracticePC struct {
	*netlab.Practice
	outside []net.Listener
	moved   [2]atomic.Int64 // bytes that arrived outside over IPv4, IPv6
	started []*Proc
}

// NewPracticePC makes the PC and starts its programs, which are copies of this
// program: its main must call [PracticeMain] first. The programs' files lie in dir.
func (n *Nursery) NewPracticePC(ctx context.Context, dir string) (*PracticePC, error) {
	lab, err := netlab.NewPractice(nil)
	if err != nil {
		return nil, err
	}
	pc := &PracticePC{Practice: lab}
	if err := pc.furnish(ctx, n, dir); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return pc, nil
}

func (pc *PracticePC) furnish(ctx context.Context, n *Nursery, dir string) error {
	four, err := pc.serve(ctx, 0, pc.Outside.At(4, 0))
	if err != nil {
		return err
	}
	six := ""
	if pc.HasIPv6() {
		if six, err = pc.serve(ctx, 1, pc.Outside.At(6, 0)); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find own program: %w", err)
	}
	// One program whose file is gone, as malware likes it: the evidence must show it.
	gone := filepath.Join(dir, "updater")
	if err := copyFile(gone, self); err != nil {
		return err
	}
	for _, p := range []struct{ path, name, role, address string }{
		{self, "practice-files", "listen", ":445"},
		{self, "practice-web", "listen", ":8080"},
		{self, "practice-mail", "stream", four},
		{self, "practice-backup", "stream", six},
		{gone, "practice-updater <script>alert('not run')</script>", "stream", "127.0.0.1:8080"},
	} {
		if p.address == "" {
			continue
		}
		proc, err := n.Start(Spec{Path: p.path, Argv0: p.name, Args: []string{p.address}, Env: []string{practiceVar + "=" + p.role}, Host: pc.PC})
		if err != nil {
			return err
		}
		pc.started = append(pc.started, proc)
	}
	if err := os.Remove(gone); err != nil {
		return fmt.Errorf("remove file of a running program: %w", err)
	}
	return nil
}

// HasIPv6 reports whether the kernel gave the PC IPv6.
func (pc *PracticePC) HasIPv6() bool { return pc.Outside.V6.IsValid() }

// Moved returns how many bytes of the PC's flow over IP version family, 4 or 6, have
// arrived outside so far.
func (pc *PracticePC) Moved(family int) int64 { return pc.moved[(family-4)/2].Load() }

// Close ends the programs and removes the namespace.
func (pc *PracticePC) Close() error {
	for _, l := range pc.outside {
		_ = l.Close() // nobody is told of errors of a listener that goes away
	}
	err := pc.Practice.Close()
	for _, p := range pc.started {
		<-p.Done()
	}
	return err
}

// serve listens outside, counts what arrives and sends it back.
func (pc *PracticePC) serve(ctx context.Context, counter int, address string) (string, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return "", fmt.Errorf("listen for the practice PC: %w", err)
	}
	pc.outside = append(pc.outside, l)
	go accept(l, func(b []byte) { pc.moved[counter].Add(int64(len(b))) })
	return l.Addr().String(), nil
}

// accept answers every connection with what it sends.
func accept(l net.Listener, seen func([]byte)) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			buf := make([]byte, 4096)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				seen(buf[:n])
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		}()
	}
}

// PracticeMain turns this process into a program of the practice PC if it was
// started as one; otherwise it returns at once. Call it first in main.
func PracticeMain() {
	role, ok := os.LookupEnv(practiceVar)
	if !ok || len(os.Args) < 2 {
		return
	}
	var err error
	switch address := os.Args[1]; role {
	case "listen":
		var l net.Listener
		if l, err = net.Listen("tcp", address); err == nil {
			err = accept(l, func([]byte) {})
		}
	case "stream":
		err = stream(address)
	default:
		err = errors.New("unknown role " + strconv.Quote(role))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// stream keeps bytes moving to address for ever, over a new connection when the one
// it had is cut.
func stream(address string) error {
	block := make([]byte, 512)
	pace := time.NewTicker(beat)
	for {
		c, err := net.DialTimeout("tcp", address, time.Second)
		for err == nil {
			if err = c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
				break
			}
			if _, err = c.Write(block); err != nil {
				break
			}
			if _, err = io.ReadFull(c, block); err != nil {
				break
			}
			<-pace.C
		}
		if c != nil {
			c.Close()
		}
		<-pace.C
	}
}

func copyFile(to, from string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	if err := os.WriteFile(to, b, 0o700); err != nil {
		return fmt.Errorf("copy program: %w", err)
	}
	return nil
}
