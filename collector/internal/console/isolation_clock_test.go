package console

import (
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
)

// When an isolation ends is told by our clock, also of a PC whose clock is nine hours ahead.
func TestEndOfAnIsolationIsTold(t *testing.T) {
	x := newSite(t)
	p := x.modern("keiri-pc01", "192.0.2.77")
	_, err := x.Isolate(t.Context(), x.owner, p.ID, act.Order{Reason: "不審な画面", Isolation: dispatch.Isolation{Until: x.now().Add(4*time.Hour + time.Minute)}})
	must(t, err)
	p.carryOut()
	must(t, x.EndpointClock(t.Context(), p.ID, 9*time.Hour))
	st := p.isolated(p.newest(dispatch.Isolate))
	st.More.Until = st.More.Until.Add(9 * time.Hour)
	must(t, x.EndpointSeen(t.Context(), p.ID, st))
	x.as("owner", "ja").get("/endpoints/"+p.ID).want(t, 200, "残り4時間")
}
