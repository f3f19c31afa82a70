// Command victim is the programs in a guest that evidence must show: one that keeps
// a connection alive, and crowds of processes and sockets. It knows nothing of
// agents.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// beat is the time between two bytes of the connection.
const beat = 100 * time.Millisecond

func main() {
	mark := flag.String("mark", "", "name under which the server knows the connection")
	to := flag.String("to", "", "address of the server")
	gone := flag.Bool("gone", false, "remove the own program's file")
	processes := flag.Int("processes", 0, "start so many processes that do nothing")
	sockets := flag.Int("sockets", 0, "open so many sockets, connected among themselves")
	flag.Parse()
	if err := run(*mark, *to, *gone, *processes, *sockets); err != nil {
		fmt.Fprintln(os.Stderr, "victim:", err)
		os.Exit(1)
	}
}

func run(mark, to string, gone bool, processes, sockets int) error {
	if gone {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		if err := os.Remove(self); err != nil {
			return err
		}
	}
	for i := range processes {
		if err := exec.Command("sleep", strconv.Itoa(10_000+i)).Start(); err != nil {
			return fmt.Errorf("after %d processes: %w", i, err)
		}
	}
	held, err := connected(sockets / 2)
	if err != nil {
		return err
	}
	defer func() {
		for _, c := range held {
			c.Close()
		}
	}()
	if to == "" {
		return errors.New("want an address")
	}
	for {
		err := flow(mark, to)
		if len(held) > 0 {
			return err // a crowd stands behind one connection
		}
		fmt.Fprintln(os.Stderr, "victim:", err)
		<-time.After(beat)
	}
}

// flow says its mark and keeps bytes moving both ways.
func flow(mark, to string) error {
	c, err := net.DialTimeout("tcp", to, time.Second)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := fmt.Fprintln(c, mark); err != nil {
		return err
	}
	b := make([]byte, 1)
	for pace := time.Tick(beat); ; <-pace {
		if _, err := c.Write([]byte{'.'}); err != nil {
			return err
		}
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
	}
}

// connected opens pairs of connected sockets over loopback.
func connected(pairs int) (held []net.Conn, err error) {
	if pairs == 0 {
		return nil, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	for range pairs {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return held, err
		}
		a, err := l.Accept()
		if err != nil {
			return held, err
		}
		held = append(held, c, a)
	}
	return held, nil
}
