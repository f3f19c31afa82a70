package console

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/report"
	"hozen/collector/internal/sqldb"
	"hozen/internal/i18n"
	"hozen/internal/id"
)

// The office of [BenchmarkPages]: more than the people that this is made for will ever have.
const (
	manyPCs       = 200
	manyIncidents = 50
)

// BenchmarkPages asks for every kind of page of a collector that has been in use for long, and
// reports the slowest kind's 95th percentile. A page's time is from the request on a loopback
// connection to its last byte; browsers come on top. Half of the timeline belongs to one incident.
// The short run has a tenth of the evidence and of the timeline.
func BenchmarkPages(b *testing.B) {
	manyItems, manyEntries, asked := 5000, 100_000, 20 // times for each page
	if testing.Short() {
		manyItems, manyEntries, asked = manyItems/10, manyEntries/10, 5
	}
	x := newOffice(b, 300)
	ctx := b.Context()
	var pcs []*pc
	for i := range manyPCs {
		pcs = append(pcs, x.enrol(endpoint.Description{Hostname: fmt.Sprintf("pc-%03d", i), OS: "linux", Arch: "amd64", Platform: "debian 12"}))
	}
	first, err := x.Incident(ctx, x.owner, x.incidentID) // which has something on every page
	must(b, err)
	incidents := []incident.Incident{first}
	for i := range manyIncidents - 1 {
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: fmt.Sprintf("不審な動作 %d", i), Classification: incident.Malware, EndpointIDs: []string{pcs[i].ID, pcs[i+50].ID}})
		must(b, err)
		incidents = append(incidents, inc)
	}
	kinds := captured(300, x.now())
	for i, items := 0, 0; items < manyItems; i++ {
		from := pcs[i%manyIncidents]
		if i%manyIncidents == 0 {
			from = x.keiri // of the office's incident
		}
		list, err := x.AcquisitionItems(ctx, x.owner, from.send(nil, kinds))
		must(b, err)
		items += len(list)
	}
	at := x.now().UTC()
	for n := 0; n < manyEntries; {
		must(b, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
			for range 5000 {
				inc := incidents[0]
				if n%2 == 0 {
					inc = incidents[n/2%manyIncidents]
				}
				err := incident.AddEntry(ctx, tx, inc.OrganisationID, incident.Entry{ID: id.New(id.Timeline), IncidentID: inc.ID, At: at.Add(time.Duration(n) * time.Second),
					Kind: incident.EntryNote, Actor: "佐藤", Text: "利用者に電話。LANケーブルは抜いていないとのこと。", LedgerIdx: int64(n)})
				if err != nil {
					return err
				}
				n++
			}
			return nil
		}))
	}
	w := x.as("owner", "ja")
	all := x.paths()
	if list := unseen(b, all); len(list) > 0 {
		b.Fatalf("no address of office.paths leads to %q", list)
	}
	big, small := "/incidents/"+incidents[0].ID, "/incidents/"+incidents[7].ID
	paths, seen := []string{}, map[string]bool{}
	for _, p := range append([]string{"/", big, small, big + "/timeline?page=300", "/search?q=LAN%E3%82%B1%E3%83%BC%E3%83%96%E3%83%AB", "/search?q=%E8%A6%8B%E3%81%A4%E3%81%8B%E3%82%89%E3%81%AA%E3%81%84"}, all...) {
		if k := kindOf(p); p != "/no/such/page" && (p == small || !seen[k] || strings.HasPrefix(p, "/search?")) {
			seen[k] = true
			paths = append(paths, p)
		}
	}
	for _, p := range paths {
		if r := w.get(p); r.code != 200 { // what is kept between requests is kept now
			b.Fatalf("%s: %d", p, r.code)
		}
	}
	b.ResetTimer()
	type page struct {
		path string
		p95  time.Duration
	}
	var took []page
	for b.Loop() {
		took = took[:0]
		for _, p := range paths {
			var times []time.Duration
			for range asked {
				begun := time.Now()
				if r := w.get(p); r.code != 200 {
					b.Fatalf("%s: %d", p, r.code)
				}
				times = append(times, time.Since(begun))
			}
			slices.Sort(times)
			took = append(took, page{p, times[len(times)*95/100-1]})
		}
	}
	slices.SortFunc(took, func(x, y page) int { return cmp.Compare(y.p95, x.p95) })
	var slowest strings.Builder
	for _, p := range took[:min(8, len(took))] {
		fmt.Fprintf(&slowest, "%.1f ms %s; ", float64(p.p95.Microseconds())/1000, p.path)
	}
	b.Logf("%d pages, the slowest: %s", len(took), slowest.String())
	worst := took[0].p95
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-p95")
}

// BenchmarkDocuments issues every document of an incident that has something of everything and
// a timeline of thousands of lines, in both languages, and takes its custody form. It reports the
// slowest: from the order until the frozen version is kept, with PDF, Word file and text.
func BenchmarkDocuments(b *testing.B) {
	manyEntries := 5000
	if testing.Short() {
		manyEntries /= 10
	}
	x := newOffice(b, 300)
	ctx := b.Context()
	at := x.now().UTC()
	inc, err := x.Incident(ctx, x.owner, x.incidentID)
	must(b, err)
	must(b, x.db.Tx(ctx, func(ctx context.Context, tx *sqldb.Tx) error {
		for n := range manyEntries {
			err := incident.AddEntry(ctx, tx, inc.OrganisationID, incident.Entry{ID: id.New(id.Timeline), IncidentID: inc.ID, At: at.Add(time.Duration(n) * time.Second),
				Kind: incident.EntryNote, Actor: "𠮷田", Text: "利用者に電話。LANケーブルは抜いていないとのこと。𩸽😀", LedgerIdx: int64(n)})
			if err != nil {
				return err
			}
		}
		return nil
	}))
	var slowest time.Duration
	var which string
	for b.Loop() {
		timed1 := func(name string, do func() error) {
			begun := time.Now()
			must(b, do())
			if took := time.Since(begun); took > slowest {
				slowest, which = took, name
			}
		}
		for _, k := range report.Kinds() {
			for _, l := range i18n.Languages() {
				timed1(string(k)+"."+string(l), func() error {
					_, _, err := x.IssueReport(ctx, x.owner, act.NewReport{IncidentID: x.incidentID, Kind: k, Language: l, Era: true})
					return err
				})
			}
		}
		timed1("custody form", func() error { return x.CustodyForm(ctx, x.owner, x.incidentID, io.Discard) })
	}
	b.Logf("the slowest is %s", which)
	b.ReportMetric(float64(slowest.Microseconds())/1000, "ms-slowest")
}
