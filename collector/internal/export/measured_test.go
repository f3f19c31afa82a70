package export

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"hozen/collector/internal/pdf"
)

// shelf has artifacts by the digest under which they are stored.
type shelf map[string]string

func (s shelf) Sealed(context.Context, string) (Sealed, error) { return Sealed{}, nil }

func (s shelf) Open(_ context.Context, sum string) (io.ReadCloser, error) {
	b, ok := s[sum]
	if !ok {
		return nil, errors.New("not there")
	}
	return io.NopCloser(bytes.NewReader([]byte(b))), nil
}

const (
	up   = `{"type":"interface","iface":"eth0","oper":"up","flags":["up","running"]}` + "\n"
	down = `{"type":"interface","iface":"eth1","oper":"down","flags":["broadcast"]}` + "\n"
	loop = `{"type":"interface","iface":"lo","oper":"up","flags":["up","loopback"]}` + "\n"
)

// TestMeasured: what the form says of clock and network comes from the evidence, and from the
// timeline where that says nothing.
func TestMeasured(t *testing.T) {
	began := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	line := func(kind, key, state string, before time.Duration) Line {
		return Line{Kind: kind, AgentAt: began.Add(-before), Params: map[string]string{"endpoint": "end_1", key: state}}
	}
	kit := `{"kit_id":"k","reference":{"typed":"14:05:00","source":"117","time":"2026-11-22T05:05:00Z","offset_ms":-1250,"within_ms":500,"pc_zone_s":32400}}` + "\n"
	for name, c := range map[string]struct {
		of                              shelf
		lines                           []Line
		zone, sync, offset, within, net string
	}{
		"nothing": {},
		"clock": {of: shelf{"clock": `{"zone":"Asia/Tokyo","zone_abbrev":"JST","utc_offset_s":32400,"ntp":{"state":"synchronised","max_error_us":12500}}` + "\n"},
			zone: "Asia/Tokyo JST +09:00", sync: "同期あり synchronised, 最大誤差 max. error 12.5 ms"},
		"clock of Windows":              {of: shelf{"clock": `{"zone_abbrev":"JST","utc_offset_s":32400}` + "\n"}, zone: "JST +09:00"},
		"clock that is none":            {of: shelf{"clock": `{"zone":7}` + "\n", "netconfig": "not JSON\n", "kit": "{", "isolation": "[]"}},
		"unsynchronised":                {of: shelf{"clock": `{"utc_offset_s":-12600,"ntp":{"state":"unsynchronised"}}`}, zone: "-03:30", sync: "同期なし unsynchronised"},
		"a kit":                         {of: shelf{"kit": kit}, zone: "+09:00", offset: "-1250 ms (117)", within: "500 ms"},
		"a kit and no clock to compare": {of: shelf{"kit": `{"kit_id":"k"}`}},
		"connected":                     {of: shelf{"netconfig": loop + down + up}, net: "接続 connected (eth0)"},
		"offline":                       {of: shelf{"netconfig": loop + down}, net: "オフライン offline"},
		"isolated, by its own evidence": {of: shelf{"netconfig": up, "isolation": `{"observed":"isolated"}`}, net: "ネットワーク隔離中 isolated: 接続 connected (eth0)"},
		"isolated, by the timeline": {of: shelf{"netconfig": up}, lines: []Line{line("result", "observed", "isolated", time.Hour), line("isolation", "to", "released", 2*time.Hour)},
			net: "ネットワーク隔離中 isolated: 接続 connected (eth0)"},
		"isolated afterwards": {of: shelf{"netconfig": up}, lines: []Line{line("result", "observed", "isolated", -time.Second)}, net: "接続 connected (eth0)"},
		"released before":     {of: shelf{"netconfig": up}, lines: []Line{line("result", "observed", "isolated", time.Hour), line("result", "observed", "released", time.Minute)}, net: "接続 connected (eth0)"},
		"isolated and unplugged": {of: shelf{"netconfig": loop}, lines: []Line{line("isolation", "to", "isolated", time.Hour)},
			net: "オフライン offline"},
	} {
		a := Acquisition{EndpointID: "end_1", StartedAt: began}
		for kind, b := range c.of {
			a.Items = append(a.Items, Item{Kind: kind, Compression: "none", StoredSHA256: kind, PlainSize: int64(len(b))})
		}
		a.Items = append(a.Items, Item{Kind: "clock", Compression: "none", StoredSHA256: "gone", PlainSize: 0}, Item{Kind: "process", StoredSHA256: "gone", PlainSize: 9})
		var e pdf.Exhibit
		if err := measured(t.Context(), &e, &Package{Timeline: c.lines}, &a, c.of); err != nil {
			t.Fatal(err)
		}
		if k := e.Clock; k.Zone != c.zone || k.NTP != c.sync || k.Offset != c.offset || k.Uncertainty != c.within || e.NetworkState != c.net {
			t.Errorf("%s: %+v, network %q", name, k, e.NetworkState)
		}
		by := int64(7)
		a.DisposedBy, e = &by, pdf.Exhibit{}
		if err := measured(t.Context(), &e, &Package{}, &a, c.of); err != nil || e.Clock != (pdf.Exhibit{}).Clock || e.NetworkState != "" {
			t.Errorf("%s, disposed of: %v, %+v", name, err, e)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := measured(ctx, &pdf.Exhibit{}, &Package{}, &Acquisition{Items: []Item{{Kind: "clock", PlainSize: 1}}}, shelf{}); err == nil {
		t.Error("it went on after it was broken off")
	}
}

func FuzzMeasured(f *testing.F) {
	f.Add([]byte(up + down))
	f.Add([]byte(`{"utc_offset_s":99999999999,"reference":{"typed":"x","within_ms":-1}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var e pdf.Exhibit
		clockSaid(b)
		referenceSaid(&e, b)
		linksSaid(b)
		isolationSaid(b)
	})
}
