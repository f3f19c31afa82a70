package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/watch"
)

func codes(list []watch.Concern) string {
	var out []string
	for _, c := range list {
		s := string(c.Code)
		if c.PC != nil {
			s += "@" + c.PC.Name
		}
		if c.Urgent {
			s += "!"
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func TestConcerns(t *testing.T) {
	now := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	well := watch.Collector{BackupDir: "/mnt/nas", BackupEvery: day, BackupAt: ago(day), ProvedAt: ago(2 * day), CertificateUntil: now.Add(60 * day), CAUntil: now.Add(3000 * day)}
	with := func(change func(*watch.Collector)) watch.Collector {
		c := well
		change(&c)
		return c
	}
	pc := watch.PC{Name: "a", Enrolled: ago(100 * day), LastSeen: now, Online: true}
	like := func(change func(*watch.PC)) []watch.PC {
		p := pc
		change(&p)
		return []watch.PC{p}
	}
	for name, c := range map[string]struct {
		pcs  []watch.PC
		of   watch.Collector
		want string
	}{
		"all is well":       {[]watch.PC{pc}, well, ""},
		"over the weekend":  {like(func(p *watch.PC) { p.Online, p.LastSeen = false, ago(3*day) }), well, ""},
		"silent":            {like(func(p *watch.PC) { p.Online, p.LastSeen = false, ago(7*day) }), well, "silent@a"},
		"not yet":           {like(func(p *watch.PC) { p.Online, p.LastSeen, p.Enrolled = false, time.Time{}, ago(time.Minute) }), well, ""},
		"never":             {like(func(p *watch.PC) { p.Online, p.LastSeen = false, time.Time{} }), well, "never_connected@a"},
		"nothing known":     {like(func(p *watch.PC) { p.Online, p.LastSeen, p.Incapable = false, time.Time{}, true }), well, "never_connected@a"},
		"old and helpless":  {like(func(p *watch.PC) { p.Outdated, p.Incapable = true, true }), well, "incapable@a outdated@a"},
		"clock behind":      {like(func(p *watch.PC) { p.Offset = -3 * time.Minute }), well, "clock@a"},
		"clock near enough": {like(func(p *watch.PC) { p.Offset = time.Minute }), well, ""},
		"no way home first": {like(func(p *watch.PC) { p.NoWayHome, p.Outdated = true, true }), well, "no_way_home@a! outdated@a"},
		"disk":              {nil, with(func(c *watch.Collector) { c.DiskTight = true }), "disk!"},
		"disk not known":    {nil, with(func(c *watch.Collector) { c.DiskFailed = true }), "disk_unknown!"},
		"no backup planned": {nil, with(func(c *watch.Collector) { c.BackupDir = "" }), "backup_none"},
		"backup failed":     {nil, with(func(c *watch.Collector) { c.BackupFailed = "no such device" }), "backup_failed!"},
		"backup late":       {nil, with(func(c *watch.Collector) { c.BackupAt = ago(2 * day) }), "backup_late!"},
		"backup first":      {nil, with(func(c *watch.Collector) { c.BackupAt, c.ProvedAt = time.Time{}, time.Time{} }), ""},
		"backup never": {nil, with(func(c *watch.Collector) {
			c.BackupAt, c.ProvedAt, c.Started = time.Time{}, time.Time{}, ago(2*time.Hour)
		}), "backup_missing!"},
		"backup soon":       {nil, with(func(c *watch.Collector) { c.BackupAt, c.ProvedAt, c.Started = time.Time{}, time.Time{}, ago(time.Hour) }), ""},
		"never, failing":    {nil, with(func(c *watch.Collector) { c.BackupAt, c.Started, c.BackupFailed = time.Time{}, ago(5*time.Hour), "no" }), "backup_failed!"},
		"backup not proved": {nil, with(func(c *watch.Collector) { c.ProvedAt = time.Time{} }), "backup_unproved"},
		"proved long ago":   {nil, with(func(c *watch.Collector) { c.ProvedAt = ago(9 * day) }), "backup_unproved"},
		"backup is bad":     {nil, with(func(c *watch.Collector) { c.ProvedBad = 2 }), "backup_bad!"},
		"certificates":      {nil, with(func(c *watch.Collector) { c.CertificateUntil, c.CAUntil = now.Add(day), now.Add(day) }), "ca! certificate!"},
	} {
		if got := codes(watch.Look(now, c.pcs, c.of)); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	two := slices.Concat(like(func(p *watch.PC) { p.Name, p.Outdated = "b", true }), like(func(p *watch.PC) { p.Outdated = true }))
	if got := codes(watch.Look(now, two, well)); got != "outdated@a outdated@b" {
		t.Errorf("order: %q", got)
	}
}
