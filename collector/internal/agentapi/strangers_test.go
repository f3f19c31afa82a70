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
	a, ok1 := c.enter("end_a")
	_, ok2 := c.enter("end_a")
	_, ok3 := c.enter("end_a")
	if _, other := c.enter("end_b"); !ok1 || !ok2 || ok3 || !other {
		t.Fatal(ok1, ok2, ok3, other)
	}
	a()
	a() // gives back once
	if _, ok := c.enter("end_a"); !ok {
		t.Fatal("no place after one was given back")
	}
	if _, ok := c.enter("end_a"); ok {
		t.Fatal("a place was given back twice")
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
