package act_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/internal/artifact/record"
)

func lines(t testing.TB, sockets ...record.Socket) string {
	t.Helper()
	var b strings.Builder
	for _, k := range sockets {
		if err := json.NewEncoder(&b).Encode(k); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// What others use of an endpoint is told by its connections, whatever order they come in.
func TestHintsSayWhatBreaks(t *testing.T) {
	sockets := []record.Socket{
		{Proto: "tcp", State: "LISTEN", LocalAddr: "0.0.0.0", LocalPort: 445},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "192.0.2.50", RemotePort: 5000},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "192.0.2.50", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: "::ffff:192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 39000, RemoteAddr: "192.0.2.9", RemotePort: 445},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 139},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 139, RemoteAddr: "192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 1521, RemoteAddr: "192.0.2.51", RemotePort: 5001},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "127.0.0.1", LocalPort: 5432},
		{Proto: "udp", State: "CLOSE", LocalAddr: "::", LocalPort: 53},
		{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 22},
		{Proto: "unix", Path: "/run/x"}, {Proto: "tcp", State: "LISTEN", LocalAddr: "no address", LocalPort: 25},
	}
	for range 2 {
		text := lines(t, sockets...)
		for _, in := range []string{text, strings.TrimSuffix(text, "\n"), "{\n\n" + strings.Repeat("x", 200_000) + "\n" + text} {
			got, err := act.ReadHints(t.Context(), strings.NewReader(in))
			if err != nil || fmt.Sprint(got) != "[{dns_server 0} {file_server 2}]" {
				t.Errorf("%v, %v", got, err)
			}
		}
		slices.Reverse(sockets)
	}
}

// TestEveryServiceIsKnown by what it listens at; those of devices and of the own connections are
// below.
func TestEveryServiceIsKnown(t *testing.T) {
	below := []act.ServiceCode{act.ServiceWayIn, act.ServiceGuests, act.ServiceVPNLink, act.ServiceAdmin, act.ServiceLastWayIn}
	for code, at := range map[act.ServiceCode]record.Socket{
		act.ServiceFiles:      {Proto: "tcp", LocalPort: 2049},
		act.ServiceDomain:     {Proto: "tcp", LocalPort: 389},
		act.ServiceDNS:        {Proto: "udp", LocalPort: 53},
		act.ServiceDHCP:       {Proto: "udp", LocalPort: 67},
		act.ServiceVPN:        {Proto: "udp", LocalPort: 51820},
		act.ServiceDatabase:   {Proto: "tcp", LocalPort: 5432},
		act.ServiceMail:       {Proto: "tcp", LocalPort: 25},
		act.ServiceWeb:        {Proto: "tcp", LocalPort: 443},
		act.ServicePrint:      {Proto: "tcp", LocalPort: 9100},
		act.ServiceHypervisor: {Proto: "tcp", LocalPort: 16509},
	} {
		below = append(below, code)
		at.LocalAddr = "::"
		if at.State = "LISTEN"; at.Proto == "udp" {
			at.State = "CLOSE"
		}
		client := at
		client.State, client.LocalAddr, client.RemoteAddr, client.RemotePort = "ESTABLISHED", "192.0.2.1", "192.0.2.50", 5000
		if got, err := act.ReadHints(t.Context(), strings.NewReader(lines(t, at, client))); err != nil || fmt.Sprint(got) != "[{"+string(code)+" 1}]" {
			t.Errorf("%v, %v, want %s with a client", got, err, code)
		}
		want := "[{" + string(code) + " 0}]"
		if code == act.ServiceWeb || code == act.ServicePrint { // most PCs listen there, and nobody misses it
			want = "[]"
		}
		if got, err := act.ReadHints(t.Context(), strings.NewReader(lines(t, at))); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%v, %v, want %s without one", got, err, want)
		}
	}
	all := act.ServiceCodes()
	slices.Sort(all)
	if slices.Sort(below); !slices.Equal(below, all) {
		t.Errorf("tested are %q, there are %q", below, all)
	}
}

// Who works from a PC on others, who comes in by it, and what hangs on its devices.
func TestHintsSayWhoReachesOthersByIt(t *testing.T) {
	in := record.Socket{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 22, RemoteAddr: "198.51.100.7", RemotePort: 50000}
	listens := record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 22}
	out := func(port uint16, to string) record.Socket {
		return record.Socket{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 40000, RemoteAddr: to, RemotePort: port}
	}
	for _, c := range []struct {
		sockets []record.Socket
		want    string
	}{
		{[]record.Socket{out(22, "192.0.2.9"), out(3389, "192.0.2.10"), out(22, "::ffff:192.0.2.9"), out(443, "192.0.2.11"), out(22, "127.0.0.1")}, "[{administers 2}]"},
		{[]record.Socket{listens, in, out(22, "192.0.2.9")}, "[{administers 1} {last_way_in 1} {remote_login 1}]"},
		{[]record.Socket{listens, in}, "[{remote_login 1}]"},
		{[]record.Socket{listens, {Proto: "tcp", State: "SYN_SENT", LocalAddr: "192.0.2.1", LocalPort: 40000, RemoteAddr: "192.0.2.9", RemotePort: 22}}, "[]"},
		{[]record.Socket{{Proto: "udp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 40000, RemoteAddr: "203.0.113.1", RemotePort: 1194}}, "[{vpn_client 0}]"},
		{[]record.Socket{{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 2179}}, "[{hypervisor 0}]"},
	} {
		if got, err := act.ReadHints(t.Context(), strings.NewReader(lines(t, c.sockets...))); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v, %v, want %s", got, err, c.want)
		}
	}
	up := []string{"up", "running"}
	for _, c := range []struct {
		links []record.NetConfig
		want  string
	}{
		{[]record.NetConfig{{IfIndex: 2, Iface: "eth0"}, {IfIndex: 3, Kind: "bridge"}, {IfIndex: 4, Kind: "tun", Master: 3, Flags: up}, {IfIndex: 5, Kind: "veth", Master: 3}, {IfIndex: 6, Kind: "macvtap", Parent: 2}}, "[{guests 3}]"},
		{[]record.NetConfig{{IfIndex: 4, Kind: "veth", Master: 3}, {IfIndex: 3, Kind: "bridge"}, {IfIndex: 3, NetNS: 7, Kind: "bond"}, {IfIndex: 4, NetNS: 7, Kind: "veth", Master: 3}}, "[{guests 1}]"},
		{[]record.NetConfig{{IfIndex: 3, Kind: "bridge"}, {IfIndex: 2, Master: 3}, {IfIndex: 9, Kind: "veth"}}, "[]"},
		{[]record.NetConfig{{IfIndex: 3, Kind: "wireguard", Oper: "unknown", Flags: up}}, "[{vpn_client 0}]"},
		{[]record.NetConfig{{IfIndex: 3, Kind: "tun", Oper: "unknown", Flags: up}}, "[{vpn_client 0}]"},
		{[]record.NetConfig{{IfIndex: 3, Kind: "ppp", Oper: "up"}}, "[{vpn_client 0}]"},
		{[]record.NetConfig{{IfIndex: 3, Kind: "tun", Oper: "down", Flags: up}, {IfIndex: 4, Kind: "sit"}}, "[]"},
	} {
		var b []byte
		for i := range c.links {
			c.links[i].Type = record.NetInterface
			b = append(c.links[i].AppendJSON(b), '\n')
		}
		b = append(b, "{\n"+`{"type":"route","ifindex":9,"kind":"wireguard","oper":"up"}`+"\n"...)
		if got, err := act.ReadLinkHints(t.Context(), bytes.NewReader(b)); err != nil || fmt.Sprint(got) != c.want {
			t.Errorf("%v, %v, want %s", got, err, c.want)
		}
	}
}

// A PC may write what it likes, and as much: it makes neither the collector big nor its
// preview wait.
func TestHintsAreBounded(t *testing.T) {
	var b bytes.Buffer
	b.WriteString(lines(t, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445}))
	for n := range 5_000 {
		b.WriteString(lines(t, record.Socket{Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 445, RemoteAddr: fmt.Sprintf("10.0.%d.%d", n/256, n%256)}))
	}
	got, err := act.ReadHints(t.Context(), &b)
	if err != nil || fmt.Sprint(got) != "[{file_server 1000}]" {
		t.Errorf("%v, %v", got, err)
	}
	endless := io.MultiReader(strings.NewReader(lines(t, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445})), same{'\n'})
	if got, err := act.ReadHints(t.Context(), endless); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := act.ReadHints(over, same{'x'}); !errors.Is(err, context.Canceled) {
		t.Errorf("one line without end: %v", err)
	}
	torn := errors.New("torn")
	if _, err := act.ReadHints(t.Context(), io.MultiReader(strings.NewReader("{}\n"), broken{torn})); !errors.Is(err, torn) {
		t.Errorf("evidence that cannot be read: %v", err)
	}
}

// same is one byte without end.
type same [1]byte

func (z same) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = z[0]
	}
	return len(b), nil
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func FuzzReadHints(f *testing.F) {
	f.Add([]byte(lines(f, record.Socket{Proto: "tcp", State: "LISTEN", LocalAddr: "::", LocalPort: 445}, record.Socket{Proto: "udp", LocalAddr: "fe80::1", LocalPort: 53})))
	f.Add([]byte("{}\n[1\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := act.ReadHints(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range got {
			if h.Code == "" || h.Clients < 0 || h.Clients > bytes.Count(b, []byte("\n"))+1 {
				t.Errorf("%+v", h)
			}
		}
	})
}

func FuzzReadLinkHints(f *testing.F) {
	f.Add([]byte(`{"type":"interface","ifindex":3,"kind":"bridge"}` + "\n" + `{"type":"interface","ifindex":4,"kind":"tun","master":3}` + "\n{\n\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := act.ReadLinkHints(t.Context(), bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range got {
			if h.Code == "" || h.Clients < 0 || h.Clients > bytes.Count(b, []byte("\n"))+1 {
				t.Errorf("%+v", h)
			}
		}
	})
}
