package usbkit_test

import (
	"strings"
	"testing"
	"time"

	"hozen/internal/digest"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

func sample() usbkit.Kit {
	sum := strings.Repeat("a", 64)
	return usbkit.Kit{
		Format: usbkit.Format, KitID: id.New(id.Kit), Organisation: usbkit.Organisation{ID: id.New(id.Organisation), Name: "○○株式会社"},
		Collector: usbkit.Collector{Name: "Hozen", CASHA256: sum}, IncidentID: id.New(id.Incident), Incident: "INC-2026-0007",
		Profile: "volatile", Language: "ja", Recipients: []string{"age1abc"}, MadeAt: time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC), MadeBy: "山田",
		Files: []usbkit.File{{Name: usbkit.LinuxAgent, SHA256: sum, Size: 14e6}},
	}
}

func TestDocumentComesBack(t *testing.T) {
	k := sample()
	b, err := k.Encode()
	if err != nil {
		t.Fatal(err)
	}
	got, err := usbkit.Decode(b)
	if err != nil || got.KitID != k.KitID || got.Organisation != k.Organisation || len(got.Files) != 1 || !got.MadeAt.Equal(k.MadeAt) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestDocumentsThatAreNone(t *testing.T) {
	for name, spoil := range map[string]func(*usbkit.Kit){
		"format":           func(k *usbkit.Kit) { k.Format = "hozen-kit/2" },
		"identifier":       func(k *usbkit.Kit) { k.KitID = "kit_1" },
		"organisation":     func(k *usbkit.Kit) { k.Organisation.ID = k.KitID },
		"half an incident": func(k *usbkit.Kit) { k.Incident = "" },
		"other half":       func(k *usbkit.Kit) { k.IncidentID = "" },
		"control":          func(k *usbkit.Kit) { k.Organisation.Name = "a\x1b[2J" },
		"long":             func(k *usbkit.Kit) { k.MadeBy = strings.Repeat("x", 600) },
		"language":         func(k *usbkit.Kit) { k.Language = "fr" },
		"no profile":       func(k *usbkit.Kit) { k.Profile = "" },
		"no time":          func(k *usbkit.Kit) { k.MadeAt = time.Time{} },
		"digest":           func(k *usbkit.Kit) { k.Files[0].SHA256 = "00" },
		"path":             func(k *usbkit.Kit) { k.Files[0].Name = "../kit.json" },
		"hidden":           func(k *usbkit.Kit) { k.Files[0].Name = ".x" },
		"twice":            func(k *usbkit.Kit) { k.Files = append(k.Files, k.Files[0]) },
		"size":             func(k *usbkit.Kit) { k.Files[0].Size = -1 },
	} {
		k := sample()
		spoil(&k)
		if _, err := k.Encode(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	b, err := sample().Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"unknown field": strings.Replace(string(b), `"profile"`, `"extra": 1, "profile"`, 1),
		"behind":        string(b) + "{}",
		"empty":         "",
	} {
		if _, err := usbkit.Decode([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// TestReceiptCode holds the code against one that was made with other tools:
// printf hozen | sha256sum, the first 60 bits in base32 of Crockford's alphabet.
func TestReceiptCode(t *testing.T) {
	d := digest.Of([]byte("hozen"))
	code := usbkit.ReceiptCode(d)
	if want := crockford(d.String()); code != want {
		t.Errorf("%s, want %s", code, want)
	}
	for _, s := range []string{code, strings.ToLower(code), strings.ReplaceAll(code, "-", ""), " " + strings.ReplaceAll(code, "-", " ") + " ",
		wide(code), strings.ReplaceAll(strings.ReplaceAll(code, "0", "O"), "1", "l")} {
		if got, err := usbkit.ParseReceiptCode(s); err != nil || got != code {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0000-0000-000", "0000-0000-00000", "U000-0000-0000", "0000-0000-00é0"} {
		if got, err := usbkit.ParseReceiptCode(s); err == nil {
			t.Errorf("%q: taken as %q", s, got)
		}
	}
}

// crockford spells the first 60 bits of hexadecimal digits, five bits at a time.
func crockford(hexadecimal string) string {
	const digits, alphabet = "0123456789abcdef", "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var n uint64
	for _, r := range hexadecimal[:15] {
		n = n<<4 | uint64(strings.IndexRune(digits, r))
	}
	var out []byte
	for i := 11; i >= 0; i-- {
		out = append(out, alphabet[n>>(5*i)&31])
		if i == 8 || i == 4 {
			out = append(out, '-')
		}
	}
	return string(out)
}

func wide(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' {
			return 'ー'
		}
		return r - '!' + '！'
	}, s)
}

func FuzzDecode(f *testing.F) {
	b, err := sample().Encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, err := usbkit.Decode(b); err == nil {
			if _, err := k.Encode(); err != nil {
				t.Errorf("it was read and cannot be written: %v", err)
			}
		}
	})
}

func FuzzReceiptCode(f *testing.F) {
	f.Add("7Q2M-0KXD-V93A")
	f.Fuzz(func(t *testing.T, s string) {
		if code, err := usbkit.ParseReceiptCode(s); err == nil {
			if again, err := usbkit.ParseReceiptCode(code); err != nil || again != code {
				t.Errorf("%q became %q", s, code)
			}
		}
	})
}
