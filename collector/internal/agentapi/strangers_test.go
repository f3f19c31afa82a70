package agentapi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

func tcp(t *testing.T, address string) net.Addr {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPlaces(t *testing.T) {
	p := newPlaces(10, 4)
	take := func(address string) (taken int) {
		for range 20 {
			if _, ok := p.enter(tcp(t, address)); ok {
				taken++
			}
		}
		return taken
	}
	if n := take("192.0.2.7:1"); n != 4 {
		t.Errorf("one address has %d places", n)
	}
	if n := take("[2001:db8::1]:1") + take("[2001:db8::ffff:1]:1"); n != 4 {
		t.Errorf("one IPv6 network has %d places", n)
	}
	leave, ok := p.enter(tcp(t, "192.0.2.8:1"))
	if !ok {
		t.Fatal("another address has no place")
	}
	leave()
	leave()
	if n := take("127.0.0.1:1"); n != 2 {
		t.Errorf("this machine has %d of the 2 places that are left", n)
	}
	if len(p.byAddress) != 3 {
		t.Errorf("remembers %d addresses", len(p.byAddress))
	}
}

// TestCrowdOfStrangers: whoever can reach the port, without a certificate, keeps no
// endpoint out.
func TestCrowdOfStrangers(t *testing.T) {
	p := newPlaces(maxStrangers, maxStrangersPer)
	held := 0
	for host := range 200 {
		for {
			if _, ok := p.enter(tcp(t, fmt.Sprintf("10.0.0.%d:1", host))); !ok {
				break
			}
			held++
		}
	}
	if held != maxStrangers || held >= defaultMaxConnections/2 {
		t.Errorf("strangers hold %d of %d connections", held, defaultMaxConnections)
	}
}

func TestCrowdOfOneEndpoint(t *testing.T) {
	c := newCrowd(2)
	there := map[*member]net.Conn{}
	enter := func(endpointID string) (*member, bool) {
		here, far := net.Pipe()
		m, full := c.enter(endpointID, here, here)
		there[m] = far
		return m, full
	}
	cut := func(m *member) bool {
		if err := there[m].SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
			return true
		}
		_, err := there[m].Read(make([]byte, 1))
		return errors.Is(err, io.EOF)
	}
	agent, full1 := enter("end_a")
	old, full2 := enter("end_a")
	agent.control = true
	other, full3 := enter("end_b")
	if full1 || full2 || full3 {
		t.Fatal("there was room")
	}
	newer, full := enter("end_a")
	if !full || !cut(old) || cut(agent) || cut(newer) || cut(other) {
		t.Fatal("the oldest without the control stream has to go, and none else")
	}
	old.Close() // what gRPC does with it, late
	if len(c.by["end_a"]) != 2 {
		t.Fatalf("%d connections are counted", len(c.by["end_a"]))
	}
	newer.Close()
	newer.Close()
	if _, full := enter("end_a"); full {
		t.Fatal("no place after one was given back")
	}
	agent.control = false
	if _, full := enter("end_a"); !full || !cut(agent) {
		t.Fatal("the oldest has to go")
	}
	other.Close()
	if _, ok := c.by["end_b"]; ok {
		t.Fatal("an endpoint that left is remembered")
	}
}

// TestStrangerSaysTooMuch: what is said without a certificate fills no memory.
func TestStrangerSaysTooMuch(t *testing.T) {
	here, there := net.Pipe()
	defer there.Close()
	s := &stranger{Conn: here, leave: func() {}, end: time.AfterFunc(time.Hour, func() {})}
	defer s.Close()
	go func() {
		b := make([]byte, 64<<10)
		for {
			if _, err := there.Write(b); err != nil {
				return
			}
		}
	}()
	n, err := io.Copy(io.Discard, s)
	if n != strangerBytes || !errors.Is(err, errTalks) {
		t.Fatalf("%d bytes were heard: %v", n, err)
	}
}
