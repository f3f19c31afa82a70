package console

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/incident"
	"hozen/collector/internal/sqldb"
	"hozen/internal/artifact"
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
	manyItems, manyEntries := 5000, 100_000
	if testing.Short() {
		manyItems, manyEntries = manyItems/10, manyEntries/10
	}
	x := newSite(b)
	ctx := b.Context()
	var pcs []*pc
	for i := range manyPCs {
		pcs = append(pcs, x.enrol(endpoint.Description{Hostname: fmt.Sprintf("pc-%03d", i), OS: "linux", Arch: "amd64", Platform: "debian 12"}))
	}
	var incidents []incident.Incident
	for i := range manyIncidents {
		inc, err := x.OpenIncident(ctx, x.owner, act.NewIncident{Title: fmt.Sprintf("不審な動作 %d", i), Classification: incident.Malware, EndpointIDs: []string{pcs[i].ID, pcs[i+50].ID}})
		must(b, err)
		incidents = append(incidents, inc)
	}
	items, process, sockets := 0, "", ""
	kinds := captured(300, x.now())
	for i := 0; items < manyItems; i++ {
		acq := pcs[i%manyIncidents].send(nil, kinds)
		list, err := x.AcquisitionItems(ctx, x.owner, acq)
		must(b, err)
		items += len(list)
		if process == "" {
			process = list[slices.IndexFunc(list, func(it evidence.Item) bool { return it.Kind == artifact.KindProcess })].ID
			sockets = list[slices.IndexFunc(list, func(it evidence.Item) bool { return it.Kind == artifact.KindNetConn })].ID
		}
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
	big, small := "/incidents/"+incidents[0].ID, "/incidents/"+incidents[7].ID
	paths := []string{"/", "/incidents", big, small, big + "/timeline", big + "/timeline?page=300", big + "/record", big + "/playbook", big + "/deadlines", big + "/decisions", big + "/enquiries", big + "/reports", big + "/reports/new/owner",
		big + "/export", big + "/lifecycle", "/endpoints/" + pcs[0].ID, "/evidence/" + process, "/evidence/" + process + "/findings", "/evidence/" + sockets + "/map", "/evidence/" + process + "/tree", "/groups", "/groups/new/isolate?incident=" + incidents[0].ID,
		"/search?q=pc", "/search?q=LAN%E3%82%B1%E3%83%BC%E3%83%96%E3%83%AB", "/search?q=%E8%A6%8B%E3%81%A4%E3%81%8B%E3%82%89%E3%81%AA%E3%81%84", "/ledger", "/operators", "/contacts", "/watch", "/settings/isolation", "/settings/notifications", "/account"}
	for _, p := range paths {
		w.get(p).want(b, 200) // what is kept between requests is kept now
	}
	b.ResetTimer()
	worst, slowest := time.Duration(0), ""
	for b.Loop() {
		for _, p := range paths {
			var took []time.Duration
			for range 20 {
				begun := time.Now()
				w.get(p).want(b, 200)
				took = append(took, time.Since(begun))
			}
			slices.Sort(took)
			if p95 := took[len(took)*95/100-1]; p95 > worst {
				worst, slowest = p95, p
			}
			b.Logf("%8.1f ms  %s", float64(took[len(took)*95/100-1].Microseconds())/1000, p)
		}
	}
	b.Logf("the slowest is %s", slowest)
	b.ReportMetric(float64(worst.Microseconds())/1000, "ms-p95")
}
