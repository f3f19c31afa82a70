package netfilter

import (
	"encoding/json"
	"io"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/probe/probetest"
	"hozen/internal/artifact/record"
	"hozen/internal/netlab"
)

const ruleset = `table inet guard {
	set bad { type ipv4_addr; elements = { 192.0.2.66, 192.0.2.67 } }
	counter seen { }
	chain in {
		type filter hook input priority -10; policy accept;
		ip saddr @bad counter drop comment "known bad"
		ct state established accept
		jump more
	}
	chain more { }
}
`

// TestScene plants rules and a connection in a namespace of its own.
func TestScene(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip("needs root: ", err)
	}
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("needs nft: ", err)
	}
	h, err := netlab.NewHost()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	cmd := exec.CommandContext(t.Context(), nft, "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	var out strings.Builder
	cmd.Stderr = &out
	if err := h.Start(cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Skip("this kernel takes no such rules: ", err, out.String())
	}
	l, err := h.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := h.Dial(t.Context(), "tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(far, make([]byte, 1)); err != nil { // then the handshake is over for the filter too
		t.Fatal(err)
	}

	var lines probetest.Lines
	if err := h.Do(func() error { return New("/", nil).Acquire(t.Context(), &lines) }); err != nil {
		t.Error(err)
	}
	seen := map[string]record.FilterObject{}
	for _, b := range lines.All {
		var f record.FilterObject
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.Table == "guard" {
			key := f.Type + " " + f.Chain + f.Name
			for seen[key].Type != "" {
				key += "+"
			}
			seen[key] = f
		}
	}
	if f := seen["chain in"]; f.Hook != "input" || f.Priority != -10 || f.Policy != "accept" || f.Kind != "filter" || f.Family != "inet" {
		t.Errorf("%+v", f)
	}
	if f := seen["rule in"]; !slices.Contains(f.Exprs, "lookup") || f.Exprs[len(f.Exprs)-1] != "drop" || f.Comment != "known bad" || len(f.Raw) == 0 {
		t.Errorf("%+v", f)
	}
	if f := seen["rule in++"]; f.Exprs[len(f.Exprs)-1] != "jump more" {
		t.Errorf("%+v", f)
	}
	bad := netip.MustParseAddr("192.0.2.66").AsSlice()
	if f := seen["elements bad"]; !strings.Contains(string(f.Raw), string(bad)) {
		t.Errorf("%+v", f)
	}
	for _, want := range []string{"table ", "chain more", "set bad", "object seen"} {
		if _, ok := seen[want]; !ok {
			t.Errorf("%s is missing of %d", want, len(seen))
		}
	}

	var flows probetest.Lines
	if err := h.Do(func() error { return NewConntrack("/").Acquire(t.Context(), &flows) }); err != nil {
		t.Error(err)
	}
	port := netip.MustParseAddrPort(c.LocalAddr().String()).Port()
	for _, b := range flows.All {
		var f record.Flow
		if err := json.Unmarshal(b, &f); err != nil {
			t.Fatal(err)
		}
		if f.SrcPort == port && f.Proto == "tcp" && f.State == "established" && slices.Contains(f.Status, "seen_reply") {
			return
		}
	}
	t.Errorf("the connection from port %d is not among %d", port, len(flows.All))
}
