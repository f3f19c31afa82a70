package wfp

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// asAgent is the stand-in to a program that is where the agent is on a PC.
type asAgent struct{ bfe }

func (asAgent) AppID(string) ([]byte, error) { return testAgent.app, nil }

// The words of fwpmu.h, fwptypes.h and fwpmtypes.h, in their order and not taken from our code.
var (
	goldenLayers = [][2]string{
		{"c38d57d1-05a7-4c33-904f-7fbceee60e82", "ALE_AUTH_CONNECT_V4"}, {"4a72393b-319f-44bc-84c3-ba54dcb3b6b4", "ALE_AUTH_CONNECT_V6"},
		{"e1cd9fe7-f4b5-4273-96c0-592e487b8650", "ALE_AUTH_RECV_ACCEPT_V4"}, {"a3b42c97-9f04-4672-b87e-cee9c483257f", "ALE_AUTH_RECV_ACCEPT_V6"},
		{"a82acc24-4ee1-4ee1-b465-fd1d25cb10a4", "IPFORWARD_V4"}, {"7b964818-19c7-493a-b71f-832c3684d28c", "IPFORWARD_V6"},
	}
	goldenFields = map[string]string{
		"b235ae9a-1d64-49b8-a44c-5ff3d9095045": "remote", "3971ef2b-623e-4f9a-8cb1-6e79b806b9a7": "protocol",
		"0c1ba1af-5765-453f-af22-a8f791ac775b": "local port or ICMP type", "c35a604d-d22b-4e1a-91b4-68f674ee674b": "remote port or ICMP code",
		"d78e1e87-8644-4ea5-9437-d809ecefc971": "program", "af043a0a-b34d-4f86-979c-c90371af6e66": "user", "632ce23b-5167-435c-86d7-e903684aa80c": "flags",
	}
	goldenMatches = map[uint32]string{0: "=", 5: " in ", 6: " has "}
	goldenActions = map[uint32]string{0x1001: "block", 0x1002: "permit"}
)

// goldenValue reads what the stand-in wrote down of a value.
func goldenValue(t *testing.T, kind uint32, payload, field string) string {
	t.Helper()
	b, err := hex.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	four := func(b []byte) netip.Addr {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, le.Uint32(b))))
	}
	switch kind {
	case 1, 2, 3: // FWP_UINT8, FWP_UINT16, FWP_UINT32
		if field == "remote" {
			return four(b).String()
		}
		return fmt.Sprint(le.Uint64(b))
	case 11: // FWP_BYTE_ARRAY16_TYPE
		return netip.AddrFrom16([16]byte(b)).String()
	case 12: // FWP_BYTE_BLOB_TYPE
		return text16(b)
	case 14: // FWP_SECURITY_DESCRIPTOR_TYPE
		return descriptorString(b)
	case 0x100: // FWP_V4_ADDR_MASK
		return fmt.Sprintf("%s mask %s", four(b), four(b[4:]))
	case 0x101: // FWP_V6_ADDR_MASK
		return fmt.Sprintf("%s/%d", netip.AddrFrom16([16]byte(b[:16])), b[16])
	case 0x102: // FWP_RANGE_TYPE
		return fmt.Sprintf("%d to %d", le.Uint16(b), le.Uint16(b[2:]))
	}
	t.Fatalf("type %#x", kind)
	return ""
}

// golden is what the stand-in received, layer by layer, the heaviest filter first.
func golden(t *testing.T, received []call) string {
	t.Helper()
	byLayer := map[string][]string{}
	for _, c := range received {
		if c.Call != "add filter" {
			continue
		}
		var lives []string
		for _, f := range []struct {
			bit  uint32
			name string
		}{{1, "persistent"}, {2, "boot-time"}, {8, "hard"}} {
			if c.Flags&f.bit != 0 {
				lives, c.Flags = append(lives, f.name), c.Flags&^f.bit
			}
		}
		var weight struct {
			Type  uint32
			Value string
		}
		if err := json.Unmarshal(c.Weight, &weight); err != nil || weight.Type != 1 || c.Flags != 0 || goldenActions[c.Action] == "" {
			t.Fatalf("%v: %+v", err, c)
		}
		var asks []string
		for _, k := range c.Conditions {
			if goldenFields[k.Field] == "" || goldenMatches[k.Match] == "" {
				t.Fatalf("%+v", k)
			}
			asks = append(asks, goldenFields[k.Field]+goldenMatches[k.Match]+goldenValue(t, k.Type, k.Value, goldenFields[k.Field]))
		}
		if len(asks) == 0 {
			asks = []string{"everything"}
		}
		heavy := goldenValue(t, weight.Type, weight.Value, "")
		byLayer[c.Layer] = append(byLayer[c.Layer], fmt.Sprintf("%2s %-6s %-10s  %s", heavy, goldenActions[c.Action], strings.Join(lives, ","), strings.Join(asks, ", ")))
	}
	var out strings.Builder
	for _, l := range goldenLayers {
		lines := byLayer[l[0]]
		slices.SortFunc(lines, func(a, b string) int { return strings.Compare(b, a) })
		fmt.Fprintf(&out, "%s\n  %s\n", l[1], strings.Join(lines, "\n  "))
		delete(byLayer, l[0])
	}
	if len(byLayer) > 0 {
		t.Errorf("layers that nobody named: %v", byLayer)
	}
	return out.String()
}

// What the stand-in received is, read by the words of Windows' headers and not by ours, what it was
// when a person last read it: layer, weight, action, how long it lasts, and on what conditions.
func TestStandInReceivesWhatAPersonRead(t *testing.T) {
	for name, p := range map[string]isolate.Policy{"standard": isolatetest.PolicyA(), "selective": isolatetest.PolicyC(), "tunnels": isolatetest.PolicyD(), "full": isolatetest.PolicyFull()} {
		t.Run(name, func(t *testing.T) {
			file, err := filepath.Abs("testdata/received_" + name + ".txt")
			if err != nil {
				t.Fatal(err)
			}
			dir := fake(t)
			if err := newFirewall(Config{}, asAgent{}).Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			got := golden(t, calls(t, dir))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil || got != string(want) {
				t.Errorf("%v: received\n%s\nwant\n%s", err, got, want)
			}
		})
	}
}

// What the stand-in holds and gives back decides 10,000 flows under each set of rules as it was
// ordered: nothing is lost or bent on its way through the calls.
func TestFlowsThroughWhatTheStandInHolds(t *testing.T) {
	seed := rand.New(rand.NewPCG(4, 1))
	policies := map[string]isolate.Policy{"standard": isolatetest.PolicyA(), "selective": isolatetest.PolicyC(), "tunnels": isolatetest.PolicyD(), "full": isolatetest.PolicyFull()}
	for n := range 4 {
		policies[fmt.Sprintf("random %d", n)] = randomPolicy(seed)
	}
	for name, p := range policies {
		t.Run(name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(4, 2))
			fake(t)
			p = p.Clean()
			if err := newFirewall(Config{}, asAgent{}).Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			s, err := open()
			if err != nil {
				t.Fatal(err)
			}
			defer s.end()
			have, err := s.Read(nil)
			if err != nil {
				t.Fatal(err)
			}
			passed := 0
			for range 10_000 {
				f := randomFlow(r, p)
				got := arbitrate(have, f, r)
				if got != allowed(p, f) {
					t.Fatalf("passes %t: %+v\nunder %+v", got, f, p)
				}
				if got {
					passed++
				}
			}
			t.Logf("%d of 10000 flows passed", passed)
			if passed == 0 {
				t.Error("not one")
			}
		})
	}
}
