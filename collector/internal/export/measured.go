package export

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/collector/internal/pdf"
)

// maxMeasured bounds what is read of an artifact for the custody form, in bytes; what tells of
// clocks and interfaces has some thousand.
const maxMeasured = 1 << 20

// measured adds what the endpoint's own evidence says of its clock and its network. An endpoint
// may write anything: what cannot be read is not known, and the form is made all the same.
func measured(ctx context.Context, e *pdf.Exhibit, p *Package, a *Acquisition, src Source) error {
	net := ""
	for _, it := range a.Items {
		if a.DisposedBy != nil || it.PlainSize == 0 || !slices.Contains([]string{"clock", "kit", "netconfig", "isolation"}, it.Kind) {
			continue
		}
		b := headOf(ctx, &it, src)
		if err := ctx.Err(); err != nil {
			return err
		}
		switch it.Kind {
		case "clock":
			e.Clock.Zone, e.Clock.NTP = clockSaid(b)
		case "kit":
			referenceSaid(e, b)
		case "netconfig":
			net = linksSaid(b)
		case "isolation":
			e.NetworkState = isolationSaid(b)
		}
	}
	if e.NetworkState == "" {
		e.NetworkState = p.isolationOf(a)
	}
	switch {
	case net == "":
	case e.NetworkState == "" || net == offline: // no interface is up, whatever was ordered
		e.NetworkState = net
	default:
		e.NetworkState += ": " + net
	}
	return nil
}

// headOf reads the beginning of an artifact; nothing where it cannot be read.
func headOf(ctx context.Context, it *Item, src Source) []byte {
	f, err := src.Open(ctx, it.StoredSHA256)
	if err != nil {
		return nil
	}
	defer f.Close()
	var r io.Reader = f
	if it.Compression != "none" {
		d, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
		if err != nil {
			return nil
		}
		defer d.Close()
		r = d
	}
	b, err := io.ReadAll(io.LimitReader(r, min(it.PlainSize, maxMeasured)))
	if err != nil {
		return nil
	}
	return b
}

// clockSaid is the line of an artifact clock: the zone, and whether the clock is kept right.
func clockSaid(b []byte) (zone, sync string) {
	var c struct {
		Zone   string `json:"zone"`
		Abbrev string `json:"zone_abbrev"`
		Offset *int   `json:"utc_offset_s"`
		NTP    struct {
			State string `json:"state"`
			Error int64  `json:"max_error_us"`
		} `json:"ntp"`
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if json.Unmarshal([]byte(line), &c) != nil || c.Offset == nil {
		return "", ""
	}
	switch c.NTP.State {
	case "synchronised":
		sync = "同期あり synchronised, 最大誤差 max. error " + strconv.FormatFloat(float64(c.NTP.Error)/1000, 'f', -1, 64) + " ms"
	case "unsynchronised":
		sync = "同期なし unsynchronised"
	}
	return strings.Join(strings.Fields(c.Zone+" "+c.Abbrev+" "+east(*c.Offset)), " "), sync
}

// east writes seconds east of UTC as +09:00.
func east(s int) string { return time.Unix(0, 0).In(time.FixedZone("", s)).Format("-07:00") }

// referenceSaid is the line of an artifact kit, of which what was compared with another clock
// counts: nobody else measured the clock of that PC.
func referenceSaid(e *pdf.Exhibit, b []byte) {
	var k struct {
		Reference struct {
			Typed  string    `json:"typed"`
			Source string    `json:"source"`
			Time   time.Time `json:"time"`
			Offset int64     `json:"offset_ms"`
			Within int64     `json:"within_ms"`
			Zone   int       `json:"pc_zone_s"`
		} `json:"reference"`
	}
	line, _, _ := strings.Cut(string(b), "\n")
	r := &k.Reference
	if json.Unmarshal([]byte(line), &k) != nil || r.Typed == "" {
		return
	}
	e.Clock.UTC, e.Clock.Offset, e.Clock.Uncertainty = r.Time, fmt.Sprintf("%+d ms (%s)", r.Offset, r.Source), fmt.Sprintf("%d ms", r.Within)
	if e.Clock.Zone == "" {
		e.Clock.Zone = east(r.Zone)
	}
}

// offline is an endpoint without a network.
const offline = "オフライン offline"

// linksSaid is what the lines of an artifact netconfig say: which interfaces were up.
func linksSaid(b []byte) string {
	var up []string
	seen := false
	for line := range strings.Lines(string(b)) {
		var i struct {
			Type, Iface, Oper string
			Flags             []string
		}
		if json.Unmarshal([]byte(line), &i) != nil || i.Type != "interface" {
			continue
		}
		seen = true
		if i.Oper == "up" && !slices.Contains(i.Flags, "loopback") && !slices.Contains(up, i.Iface) {
			up = append(up, i.Iface)
		}
	}
	switch {
	case !seen:
		return ""
	case len(up) == 0:
		return offline
	case len(up) > 4:
		up = append(up[:4], "…")
	}
	return "接続 connected (" + strings.Join(up, ", ") + ")"
}

// isolationSaid is the line of an artifact isolation.
func isolationSaid(b []byte) string {
	var i struct {
		Observed string `json:"observed"`
	}
	line, _, _ := strings.Cut(string(b), "\n")
	if json.Unmarshal([]byte(line), &i) != nil {
		return ""
	}
	return isolationWord(i.Observed)
}

// isolationOf is what was measured last of the isolation of an acquisition's endpoint before it
// began, by that endpoint's clock on both sides, as the timeline has it.
func (p *Package) isolationOf(a *Acquisition) string {
	state := ""
	var at time.Time
	for _, l := range p.Timeline {
		said := l.Params["observed"] // of the result of a command
		if l.Kind == "isolation" {
			said = l.Params["to"]
		}
		if said == "" || l.Params["endpoint"] != a.EndpointID || l.AgentAt.IsZero() || l.AgentAt.After(a.StartedAt) || l.AgentAt.Before(at) {
			continue
		}
		state, at = said, l.AgentAt
	}
	return isolationWord(state)
}

func isolationWord(state string) string {
	switch state {
	case "isolated":
		return "ネットワーク隔離中 isolated"
	case "isolating", "releasing", "failed", "unknown":
		return "隔離の状態 isolation: " + state
	}
	return "" // released: as any other
}
