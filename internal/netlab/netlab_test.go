package netlab

import (
	"errors"
	"net/netip"
	"testing"
)

func TestSubnetsStayInThePoolsAndApart(t *testing.T) {
	seen := map[netip.Prefix]bool{}
	for n := range 512 {
		s := subnet(n)
		if !pool4.Contains(s.Host(254).V4) || !pool6.Contains(s.Host(254).V6) {
			t.Fatalf("network %d leaves the pools: %v", n, s)
		}
		if !s.V4.Contains(s.Host(1).V4) || !s.V6.Contains(s.Host(1).V6) {
			t.Fatalf("network %d does not hold its own host 1", n)
		}
		if seen[s.V4] || seen[s.V6] {
			t.Fatalf("network %d was given before", n)
		}
		seen[s.V4], seen[s.V6] = true, true
	}
}

func TestFreeAvoidsWhatIsTaken(t *testing.T) {
	for _, tt := range []struct {
		name  string
		taken []string
		want  int
	}{
		{"nothing taken", nil, 3},
		{"default route", []string{"0.0.0.0/0", "::/0"}, 3},
		{"an address in it", []string{"198.18.3.9/32"}, 4},
		{"a larger network", []string{"198.18.0.0/16"}, 256},
		{"IPv6 only", []string{"fd68:6f7a:656e:3::/64", "fd68:6f7a:656e:4::1/128"}, 5},
		{"around the end", []string{"198.18.3.0/24", "198.18.4.0/22", "198.18.8.0/21", "198.18.16.0/20",
			"198.18.32.0/19", "198.18.64.0/18", "198.18.128.0/17", "198.19.0.0/16"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := free(3, prefixes(tt.taken))
			if err != nil {
				t.Fatal(err)
			}
			if want := subnet(tt.want); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	if _, err := free(0, prefixes([]string{"198.18.0.0/15"})); !errors.Is(err, ErrFull) {
		t.Errorf("a full pool: got %v, want ErrFull", err)
	}
}

func prefixes(ss []string) (ps []netip.Prefix) {
	for _, s := range ss {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}
