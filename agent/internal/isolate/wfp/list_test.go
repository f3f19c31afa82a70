package wfp

import (
	"errors"
	"reflect"
	"testing"
)

func TestFiltersAsSomebodyReadsThem(t *testing.T) {
	app := value{kind: typeBlob, bytes: bytes16(`\device\harddiskvolume3\evil.exe`)}
	other := guid("11111111-2222-3333-4444-555555555555")
	got := listed(installed{
		sublayers: []sublayer{{key: SublayerKey, name: "Hozen", weight: 0xffff}},
		filters: []filter{
			{key: other, name: "blind the agent", flags: filterPersistent | filterHard, provider: ProviderKey, layer: layerConnect4, sublayer: SublayerKey,
				conditions: []condition{{fieldApp, matchEqual, app}, {other, 7, u32(3)}, {fieldRemotePort, matchRange, value{kind: typeRange, low: &value{kind: typeUint16, number: 1}, high: &value{kind: typeUint16, number: 9}}}},
				action:     actionBlock, id: 77, effective: 1 << 60},
			{layer: other, action: 0x5003, flags: filterDisabled | filterBootTime, unread: errors.New("not understood")},
		},
	})
	want := []Filter{
		{ID: 77, Key: other.String(), Name: "blind the agent", Provider: ProviderKey.String(), Layer: "connect4", Sublayer: SublayerKey.String(), SublayerName: "Hozen", SublayerWeight: 0xffff,
			Weight: 1 << 60, Action: "block", Flags: []string{"persistent", "hard"},
			Conditions: []string{`app = blob \device\harddiskvolume3\evil.exe`, other.String() + " has_any 3", "remote_port in 1-9"}},
		{Key: GUID{}.String(), Layer: other.String(), Sublayer: GUID{}.String(), Action: "callout", Flags: []string{"boot", "disabled"}, Unread: "not understood"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v\nwant %+v", got, want)
	}
	if a, b := actionName(0x2006), actionName(7); a != "continue" || b != "0x7" {
		t.Error(a, b)
	}
	if w := (condition{fieldFlags, 99, u8(1)}).words(); w != "flags match 99 1" {
		t.Error(w)
	}
}
