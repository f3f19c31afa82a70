package e2e

import (
	"bytes"
	"debug/pe"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"unicode/utf16"
)

// utf16le is how Windows writes a text.
func utf16le(s string) (b []byte) {
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// saysWhatItIs fails the test unless a Windows program has an icon, a manifest and the version
// of the product, and is called name where people look at it.
func saysWhatItIs(t *testing.T, path, version, name string) {
	t.Helper()
	f, err := pe.Open(path)
	must(t, err)
	defer f.Close()
	section := f.Section(".rsrc")
	if section == nil {
		t.Fatalf("%s has no resources", path)
	}
	b, err := section.Data()
	must(t, err)
	var kinds []int // of the first level (PE Format, "The .rsrc Section")
	for i := range int(binary.LittleEndian.Uint16(b[12:])) + int(binary.LittleEndian.Uint16(b[14:])) {
		kinds = append(kinds, int(binary.LittleEndian.Uint32(b[16+8*i:])))
	}
	for what, kind := range map[string]int{"icon": 14, "version": 16, "manifest": 24} {
		if !slices.Contains(kinds, kind) {
			t.Errorf("%s has no %s: %v", path, what, kinds)
		}
	}
	at := bytes.Index(b, []byte{0xbd, 0x04, 0xef, 0xfe}) // VS_FIXEDFILEINFO
	if at < 0 || at+24 > len(b) {
		t.Fatalf("%s does not tell its version", path)
	}
	four := func(at int) string {
		ms, ls := binary.LittleEndian.Uint32(b[at:]), binary.LittleEndian.Uint32(b[at+4:])
		return fmt.Sprintf("%d.%d.%d.%d", ms>>16, ms&0xffff, ls>>16, ls&0xffff)
	}
	if file, product := four(at+8), four(at+16); file != version+".0" || product != version+".0" {
		t.Errorf("%s is %s of product %s, want %s", path, file, product, version)
	}
	for _, want := range []string{name, version, "OriginalFilename"} {
		if !bytes.Contains(b, utf16le(want)) {
			t.Errorf("%s does not say %q", path, want)
		}
	}
}
