package uplink

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc/credentials"

	"hozen/internal/pki"
)

// counted counts what is written to it, and fails from a moment on.
type counted struct {
	net.Conn
	writes int
	fail   error
}

func (c *counted) Write(b []byte) (int, error) {
	if c.fail != nil {
		return 0, c.fail
	}
	c.writes++
	return c.Conn.Write(b)
}

// batchedPair is both ends of a connection of TLS, and what is below the batching one.
func batchedPair(t *testing.T) (here net.Conn, below *counted, there net.Conn) {
	t.Helper()
	ca, err := pki.NewCA("test", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	key, err := pki.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	der, _, err := ca.IssueCollector([]string{"collector"}, nil, key.Public(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, err := pki.TLSCertificate(der, key, ca.Certificate().Raw)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ends := make(chan net.Conn, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(ends)
			return
		}
		s := tls.Server(c, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, NextProtos: []string{"h2"}})
		_ = s.Handshake() // whoever reads hears of it
		ends <- s
	}()
	raw, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	below = &counted{Conn: raw}
	inner := credentials.NewTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}) // names are not what is tested
	here, _, err = batching{inner}.Clone().(batching).ClientHandshake(t.Context(), "collector", below)
	if err != nil {
		t.Fatal(err)
	}
	there = <-ends
	if there == nil {
		t.Fatal("nobody came")
	}
	t.Cleanup(func() { here.Close(); there.Close() })
	return here, below, there
}

// What is written at once goes to the kernel at once, and arrives as it was.
func TestWritesAreBatched(t *testing.T) {
	here, below, there := batchedPair(t)
	for i, n := range []int{1, 16 << 10, writeBuffer, writeBuffer, 3 * writeBuffer, writeBuffer, 7} {
		b := bytes.Repeat([]byte{byte(i + 1)}, n)
		before := below.writes
		done := make(chan error, 1)
		go func() {
			_, err := here.Write(b)
			done <- err
		}()
		got := make([]byte, n)
		if _, err := io.ReadFull(there, got); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if below.writes != before+1 {
			t.Errorf("%d bytes took %d writes", n, below.writes-before)
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("%d bytes arrived changed", n)
		}
	}
	// The other way, and what is answered while nobody writes, is not held up.
	go there.Write([]byte("answer"))
	got := make([]byte, 6)
	if _, err := io.ReadFull(here, got); err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// What the kernel refused is told by the write that it was part of.
func TestBatchedWriteFails(t *testing.T) {
	here, below, _ := batchedPair(t)
	below.fail = errors.New("no way out")
	if _, err := here.Write(make([]byte, 40_000)); !errors.Is(err, below.fail) {
		t.Errorf("a write that was lost: %v", err)
	}
}
