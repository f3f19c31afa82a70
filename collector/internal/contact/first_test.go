package contact_test

import (
	"testing"
	"time"

	"hozen/collector/internal/contact"
)

// TestWhomToCallFirst: one's own who know the systems before all desks; of the desks one that
// answers; and never a number that only the guide prints.
func TestWhomToCallFirst(t *testing.T) {
	b := load(t)
	at := time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC) // a Tuesday, 11:00 in Japan
	own := []contact.Own{{Kind: contact.Client, Name: "client", Tel: "03-0000-0001"}, {Kind: contact.Inside, Name: "inside", Tel: "03-0000-0002"},
		{Kind: contact.Vendor, Name: "mail alone"}, {Kind: contact.Vendor, Name: "vendor", Tel: "03-0000-0003"}, {Kind: contact.Vendor, Name: "gone", Tel: "03-0000-0004", Removed: true}}
	for name, c := range map[string]struct {
		own  []contact.Own
		want string
	}{"the vendor": {own, "vendor"}, "people of one's own": {own[:2], "inside"}} {
		if got, ok := b.First(c.own, contact.Filter{}, at); !ok || got.Own == nil || got.Own.Name != c.want || got.Tel != got.Own.Tel {
			t.Errorf("%s: %+v", name, got)
		}
	}
	printed := map[string]bool{}
	for _, d := range b.Desks() {
		for _, v := range d.Tels {
			printed[v.GuideValue] = v.GuideValue != ""
		}
	}
	for _, key := range []string{"", "malware", "ransomware", "outage", "leak"} {
		for _, when := range []time.Time{at, at.Add(12 * time.Hour)} {
			got, ok := b.First(own[:1], contact.Filter{Playbook: key}, when)
			if key == "outage" { // the list has nobody to telephone for that
				if ok {
					t.Errorf("%q: %+v", key, got)
				}
				continue
			}
			if !ok || got.Desk == nil || contact.Dial(got.Tel) == "" || printed[got.Tel] || got.Desk.Instead != "" {
				t.Errorf("%q at %s: %+v", key, when, got)
			}
			if got.Desk != nil {
				t.Logf("%q %s: %s %s %s", key, when, got.Desk.ID, got.Tel, got.Reach.State)
			}
		}
	}
}
