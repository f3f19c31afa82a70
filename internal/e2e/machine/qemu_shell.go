package machine

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

// shell runs programs in a virtual machine by way of a line to it: one at a time, in
// the order in which they were asked for.
type shell struct {
	conn net.Conn
	up   chan struct{} // closed when the guest has opened its end
	gone chan struct{} // closed when the line is dead

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
}

type answer struct {
	out  string
	code int
}

// newShell takes the line over.
func newShell(conn net.Conn) *shell {
	s := &shell{conn: conn, up: make(chan struct{}), gone: make(chan struct{}), waiting: map[int]chan answer{}}
	go s.read()
	return s
}

func (s *shell) read() {
	defer close(s.gone)
	once := sync.OnceFunc(func() { close(s.up) })
	r := bufio.NewReader(s.conn)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSpace(line)
		if line == "up" {
			once()
			continue
		}
		number, a, err := parseAnswer(line)
		if err != nil {
			continue // half a line of a guest that went down meanwhile
		}
		s.mu.Lock()
		if to, ok := s.waiting[number]; ok {
			to <- a
			delete(s.waiting, number)
		}
		s.mu.Unlock()
	}
}

// parseAnswer reads "NUMBER OUTPUT", where OUTPUT is base64 and ends in "x" and the
// exit code.
func parseAnswer(line string) (number int, a answer, err error) {
	first, rest, ok := strings.Cut(line, " ")
	if !ok {
		return 0, a, errors.New("answer of the guest: want two words")
	}
	if number, err = strconv.Atoi(first); err != nil {
		return 0, a, fmt.Errorf("answer of the guest: %w", err)
	}
	b, err := base64.StdEncoding.DecodeString(rest)
	if err != nil {
		return 0, a, fmt.Errorf("answer of the guest: %w", err)
	}
	at := strings.LastIndexByte(string(b), 'x')
	if at < 0 {
		return 0, a, errors.New("answer of the guest: no exit code")
	}
	a.out = string(b[:at])
	if a.code, err = strconv.Atoi(string(b[at+1:])); err != nil {
		return 0, a, fmt.Errorf("answer of the guest: %w", err)
	}
	return number, a, nil
}

// send asks the guest to run a script for sh and returns where the answer will come.
func (s *shell) send(script, stdin string) (<-chan answer, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	to := make(chan answer, 1)
	s.waiting[s.next] = to
	line := fmt.Sprintf("%d %s %s\n", s.next, base64.StdEncoding.EncodeToString([]byte(script)), base64.StdEncoding.EncodeToString([]byte(stdin)))
	if _, err := io.WriteString(s.conn, line); err != nil {
		delete(s.waiting, s.next)
		return nil, fmt.Errorf("speak to the guest: %w", err)
	}
	return to, nil
}

// run runs a script to its end and returns what it printed on both streams.
func (s *shell) run(ctx context.Context, script, stdin string) (string, int, error) {
	to, err := s.send(script, stdin)
	if err != nil {
		return "", 0, err
	}
	select {
	case a := <-to:
		return a.out, a.code, nil
	case <-s.gone:
		return "", 0, errors.New("the guest went down before it answered")
	case <-ctx.Done():
		return "", 0, ctx.Err()
	}
}

// words spells a command for sh.
func words(cmd []string) string {
	var b strings.Builder
	for i, w := range cmd {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("'" + strings.ReplaceAll(w, "'", `'\''`) + "'")
	}
	return b.String()
}
