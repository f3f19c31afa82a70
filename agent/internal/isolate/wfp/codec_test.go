package wfp

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What is written is read back, wherever it stands.
func TestFiltersAreReadAsWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 4))
		base := r.Uint64() >> 20 &^ 7
		p := randomPolicy(r)
		for _, f := range foreign(r, plan(p, testAgent), p, sublayerWeight, true).filters {
			f.id, f.effective = r.Uint64(), r.Uint64()
			m, err := encodeFilter(f)
			if err != nil {
				t.Fatal(err)
			}
			got, err := decodeFilter(block{base, m.at(base)}, base)
			if err != nil || got.String() != f.String() || got.name != f.name || got.id != f.id || got.effective != f.effective {
				t.Fatalf("%v\n%s\n%s", err, f, got)
			}
		}
	})
}

// The bytes of one filter, as fwpmtypes.h lays them out in a program of 64 bits.
func TestFilterBytes(t *testing.T) {
	f := filter{key: guid("00112233-4455-6677-8899-aabbccddeeff"), name: "n", flags: filterPersistent | filterHard, provider: ProviderKey,
		layer: layerConnect4, sublayer: SublayerKey, weight: u8(15), action: actionPermit,
		conditions: []condition{protocol(6), {fieldRemoteAddress, matchEqual, value{kind: typeMask4, number: 0xc0000200, bits: 24}}}}
	m, err := encodeFilter(f)
	if err != nil {
		t.Fatal(err)
	}
	b := m.at(0x10000)
	name, prov, conds := uint64(0x10000+sizeFilter), uint64(0x10000+sizeFilter+8), uint64(0x10000+sizeFilter+24)
	want := map[int]string{
		0:   "33221100554477668899aabbccddeeff",
		16:  le(name) + le(0),
		32:  "09000000" + "00000000" + le(prov),
		48:  strings.Repeat("00", 16),
		64:  "d1578dc3a705334c904f7fbceee60e82" + hex.EncodeToString(SublayerKey[:]),
		96:  "0100000000000000" + "0f00000000000000",
		112: "02000000" + "00000000" + le(conds),
		128: "02100000" + strings.Repeat("00", 16),
		152: strings.Repeat("00", 48),
		200: "6e000000",
		208: hex.EncodeToString(ProviderKey[:]),
		224: "2bef71393e629a4f8cb16e79b806b9a7" + "00000000" + "00000000" + "0100000000000000" + "0600000000000000",
		264: "9aae35b2641db849a44c5ff3d9095045" + "00000000" + "00000000" + "0001000000000000" + le(0x10000+304),
		304: "000200c0" + "00ffffff",
	}
	for at, w := range want {
		if got := hex.EncodeToString(b[at : at+len(w)/2]); got != w {
			t.Errorf("at %d:\n%s, want\n%s", at, got, w)
		}
	}
	if len(b) != 312 {
		t.Errorf("%d bytes", len(b))
	}
}

func le(n uint64) string {
	var out string
	for range 8 {
		out += hex.EncodeToString([]byte{byte(n)})
		n >>= 8
	}
	return out
}

// The platform's headers say the same of every size and offset. Without the compiler this
// is not shown here.
func TestLayoutsAreThoseOfTheHeaders(t *testing.T) {
	cc, err := exec.LookPath("x86_64-w64-mingw32-gcc")
	if err != nil {
		t.Skip("no x86_64-w64-mingw32-gcc")
	}
	var c strings.Builder
	c.WriteString("#define _WIN32_WINNT 0x0A00\n#include <stddef.h>\n#include <windows.h>\n#include <rpc.h>\n#include <fwpmu.h>\n")
	is := func(what string, n int) {
		c.WriteString("_Static_assert(" + what + " == " + strconv.Itoa(n) + ", \"" + what + "\");\n")
	}
	for name, n := range map[string]int{"FWPM_FILTER0": sizeFilter, "FWPM_FILTER_CONDITION0": sizeCondition, "FWPM_SESSION0": sizeSession,
		"FWPM_SUBLAYER0": sizeSublayer, "FWPM_PROVIDER0": sizeProvider, "FWP_VALUE0": sizeValue, "FWP_CONDITION_VALUE0": sizeValue,
		"FWP_BYTE_BLOB": sizeBlob, "FWP_RANGE0": sizeRange, "FWPM_FILTER_ENUM_TEMPLATE0": sizeTemplate,
		"FWPM_FILTER_SUBSCRIPTION0": sizeSubscription, "FWPM_FILTER_CHANGE0": sizeChange, "FWP_V6_ADDR_AND_MASK": 17} {
		is("sizeof("+name+")", n)
	}
	for field, n := range map[string]int{
		"FWPM_FILTER0, displayData": atName, "FWPM_FILTER0, flags": filterFlags, "FWPM_FILTER0, providerKey": filterProvider,
		"FWPM_FILTER0, layerKey": filterLayer, "FWPM_FILTER0, subLayerKey": filterSublayer, "FWPM_FILTER0, weight": filterWeight,
		"FWPM_FILTER0, numFilterConditions": filterCount, "FWPM_FILTER0, filterCondition": filterConditions, "FWPM_FILTER0, action": filterAction,
		"FWPM_FILTER0, filterId": filterID, "FWPM_FILTER0, effectiveWeight": filterEffective,
		"FWPM_FILTER_CONDITION0, matchType": conditionMatch, "FWPM_FILTER_CONDITION0, conditionValue": conditionValue,
		"FWPM_SESSION0, flags": sessionFlags, "FWPM_SESSION0, txnWaitTimeoutInMSec": sessionWait,
		"FWPM_PROVIDER0, displayData": atName, "FWPM_PROVIDER0, flags": providerFlags, "FWPM_PROVIDER0, serviceName": providerService,
		"FWPM_SUBLAYER0, flags": sublayerFlags, "FWPM_SUBLAYER0, providerKey": sublayerProvider, "FWPM_SUBLAYER0, weight": sublayerWeightAt,
		"FWPM_FILTER_ENUM_TEMPLATE0, layerKey": templateLayer, "FWPM_FILTER_ENUM_TEMPLATE0, flags": templateFlags, "FWPM_FILTER_ENUM_TEMPLATE0, actionMask": templateActions,
		"FWPM_FILTER_SUBSCRIPTION0, flags": subscriptionFlags, "FWPM_FILTER_CHANGE0, filterKey": changeKey, "FWP_VALUE0, uint8": 8, "FWPM_ACTION0, type": 0} {
		is("offsetof("+field+")", n)
	}
	for name, n := range map[string]int{"FWP_ACTION_BLOCK": actionBlock, "FWP_ACTION_PERMIT": actionPermit, "FWP_MATCH_RANGE": matchRange,
		"FWP_MATCH_FLAGS_ALL_SET": matchFlagsAll, "FWP_BYTE_ARRAY16_TYPE": typeArray, "FWP_BYTE_BLOB_TYPE": typeBlob, "FWP_SECURITY_DESCRIPTOR_TYPE": typeSD,
		"FWP_V4_ADDR_MASK": typeMask4, "FWP_V6_ADDR_MASK": typeMask6, "FWP_RANGE_TYPE": typeRange, "FWP_CONDITION_FLAG_IS_LOOPBACK": conditionLoopback,
		"FWP_FILTER_ENUM_FLAG_INCLUDE_BOOTTIME": enumIncludeBoot, "FWP_FILTER_ENUM_FLAG_INCLUDE_DISABLED": enumIncludeOff, "FWPM_CHANGE_DELETE": 2,
		"FWP_ACTRL_MATCH_FILTER": matchFilter} {
		is(name, n)
	}
	file := filepath.Join(t.TempDir(), "layout.c")
	if err := os.WriteFile(file, []byte(c.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-fsyntax-only", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The small structures, byte by byte.
func TestSmallStructures(t *testing.T) {
	s := encodeSession("n", 5000).at(0x10000)
	if len(s) != sizeSession+4 || hex.EncodeToString(s[16:40]) != le(0x10000+sizeSession)+le(0)+"00000000"+"88130000" {
		t.Errorf("session %x", s)
	}
	if b := encodeTemplate(layerConnect4).at(0x10000); len(b) != sizeTemplate || hex.EncodeToString(b[8:60]) != hex.EncodeToString(layerConnect4[:])+"00000000"+"18000000"+strings.Repeat("00", 24)+"ffffffff" {
		t.Errorf("template %x", b)
	}
	if b := encodeSubscription().at(0x10000); len(b) != sizeSubscription || hex.EncodeToString(b[:12]) != le(0)+"03000000" {
		t.Errorf("subscription %x", b)
	}
	b := make([]byte, sizeChange)
	b[0] = 2
	copy(b[4:], ProviderKey[:])
	if c := decodeChange(b); !c.removed || c.key != ProviderKey {
		t.Errorf("change %+v", c)
	}
	list := []byte(strings.Repeat("\x01\x00\x00\x00\x00\x00\x00\x00", 3))
	if at, err := pointers(block{testBase, list}, testBase, 3); err != nil || len(at) != 3 || at[2] != 1 {
		t.Errorf("pointers %v, %v", at, err)
	}
	if _, err := pointers(block{testBase, list}, testBase, 4); err == nil {
		t.Error("a pointer that is not there is read")
	}
}

// Damaged answers are errors, never a crash.
func FuzzDecodeFilter(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 1))
	p := randomPolicy(r)
	for _, w := range foreign(r, plan(p, testAgent), p, sublayerWeight, true).filters[:8] {
		m, err := encodeFilter(w)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.at(testBase))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := block{testBase, b}
		if got, err := decodeFilter(m, testBase); err == nil {
			_ = got.String()
			_ = got.title()
			_ = concerns(installed{filters: []filter{got}}, testAgent)
		}
		if s, err := decodeSublayer(m, testBase); err == nil {
			_ = s.String()
		}
		if s, err := decodeProvider(m, testBase); err == nil {
			_ = s.String()
		}
	})
}

func FuzzDescriptor(f *testing.F) {
	f.Add(descriptor(serviceSID("hozen-agent")))
	f.Fuzz(func(t *testing.T, b []byte) { _ = descriptorString(b) })
}

// One filter of somebody else that is not understood hides nothing but its conditions.
func TestFilterOfTooManyConditionsKeepsItsHead(t *testing.T) {
	f := filter{key: filterKey("foreign"), name: "foreign", layer: layerConnect4, sublayer: filterKey("foreign layer"), action: actionBlock, conditions: []condition{protocol(6)}}
	m, err := encodeFilter(f)
	if err != nil {
		t.Fatal(err)
	}
	b := m.at(testBase)
	binary.LittleEndian.PutUint32(b[filterCount:], conditionsMax+1)
	got, err := decodeFilter(block{testBase, b}, testBase)
	if err != nil || got.key != f.key || got.layer != f.layer || got.sublayer != f.sublayer || got.ours() {
		t.Fatalf("%+v, %v", got, err)
	}
	if told := concerns(installed{filters: []filter{got}}, testAgent); len(told) == 0 || !strings.Contains(told[0], `"foreign"`) || !strings.Contains(told[0], "not understood") {
		t.Errorf("limits %q", told)
	}
	f.sublayer = SublayerKey // one that stands among ours is drift, and can be removed
	want, got := f, f
	got.unread = errAnswer
	if want.String() == got.String() {
		t.Error("what is not understood passes for what was asked for")
	}
}
