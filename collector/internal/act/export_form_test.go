package act_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/exhibit"
	"hozen/internal/artifact"
)

// TestTheFormOfAPackageIsInert: the form that a package holds for browsers is opened outside the
// console. It has the same tags whatever people and PCs wrote, and all of their words.
func TestTheFormOfAPackageIsInert(t *testing.T) {
	run(t, func(t *testing.T, x *fixture) {
		tag := regexp.MustCompile(`<[^>]*>`)
		form := func(words func(n int) string) (tags []string, text string) {
			t.Helper()
			n := 0
			say := func() string { n++; return words(n) }
			o := newOffice(t, x)
			pc := o.pc(say())
			all := captured()
			all[artifact.KindClock] = []string{fmt.Sprintf(`{"wall":"2026-11-22T00:00:00Z","boot_ns":5,"zone":%q,"zone_abbrev":%q,"utc_offset_s":32400,"ntp":{"state":%q}}`, say(), say(), say())}
			inc, err := o.OpenIncident(t.Context(), o.owner, act.NewIncident{Title: say(), Reporter: say(), EndpointIDs: []string{pc.endpoint.ID}})
			ok(t, err)
			ok(t, o.LabelEndpoint(t.Context(), o.owner, pc.endpoint.ID, say()))
			pc.send("volatile", all)
			fields := map[exhibit.Field]string{}
			for _, f := range exhibit.Fields() {
				fields[f] = say()
			}
			ok(t, o.DescribeExhibit(t.Context(), o.owner, inc.Number+"-E01", fields))
			_, err = o.RecordCustody(t.Context(), o.owner, inc.Number+"-E01", exhibit.Event{Type: exhibit.HandOver, At: o.clock, To: exhibit.Party{Person: say(), Organisation: say()},
				Medium: exhibit.Medium{Type: say(), Serial: say(), SealNo: say()}, Purpose: say(), Place: say(), Witness: say(), Text: say()})
			ok(t, err)
			p, err := o.OrderExport(t.Context(), o.owner, act.NewExport{IncidentID: inc.ID, Recipient: say(), Purpose: say()})
			ok(t, err)
			got := files(t, o.write(p))["data/custody/form.html"]
			if !strings.Contains(got, `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`) {
				t.Error("the form has no policy")
			}
			return tag.FindAllString(got, -1), got
		}
		plain, text := form(func(n int) string { return fmt.Sprintf("言葉%02d", n) })
		if n := strings.Count(text, "言葉"); n < 25 {
			t.Errorf("only %d of the words stand in the form", n)
		}
		hostile := []string{`<script>alert(%d)</script>`, `"><img src=x onerror=alert(%d)>`, `'--></style><svg onload=alert(%d)>`, `&lt;b&gt;%d</td></table>`}
		tags, text := form(func(n int) string { return fmt.Sprintf(hostile[n%len(hostile)], n) })
		if !slices.Equal(tags, plain) {
			for _, s := range tags {
				if !slices.Contains(plain, s) {
					t.Errorf("a stranger's tag: %s", s)
				}
			}
			t.Errorf("%d tags, %d with plain words", len(tags), len(plain))
		}
		if !strings.Contains(text, "&lt;script&gt;alert(") {
			t.Error("the words are lost")
		}
	})
}
