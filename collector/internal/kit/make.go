package kit

import (
	"crypto"
	"embed"
	"errors"
	"fmt"
	"html"
	"maps"
	"slices"
	"strings"

	"hozen/internal/digest"
	"hozen/internal/usbkit"
)

//go:embed texts
var texts embed.FS

// Order is what a kit is made of.
type Order struct {
	// Kit is the document but for its files.
	Kit usbkit.Kit
	// Agents are the programs that will lie beside: [usbkit.LinuxAgent], [usbkit.WindowsAgent].
	Agents []usbkit.File
	// Signer is the key of Certificate (DER), the collector's.
	Signer      crypto.Signer
	Certificate []byte
}

// Made is a kit but for its programs.
type Made struct {
	Kit      usbkit.Kit
	SHA256   string            // of the document
	Files    map[string][]byte // by name
	Document []byte
}

// MaxAgent bounds one program, in bytes.
const MaxAgent = 64 << 20

// Make writes everything of a kit but its programs: manuals, starters, document, signature
// and sums.
func Make(o Order) (Made, error) {
	m := Made{Kit: o.Kit, Files: map[string][]byte{}}
	m.Kit.Format, m.Kit.Files = usbkit.Format, nil
	if len(o.Agents) == 0 {
		return m, errors.New("make kit: it has no program")
	}
	for _, a := range o.Agents {
		switch {
		case a.Name != usbkit.LinuxAgent && a.Name != usbkit.WindowsAgent:
			return m, fmt.Errorf("make kit: %.60q is no program of a kit", a.Name)
		case a.Size <= 0 || a.Size > MaxAgent:
			return m, fmt.Errorf("make kit: %s has %d bytes, at most %d are taken", a.Name, a.Size, MaxAgent)
		}
		m.Kit.Files = append(m.Kit.Files, a)
	}
	for name, starter := range map[string]string{usbkit.LinuxAgent: "start.sh", usbkit.WindowsAgent: "start.bat"} {
		if !slices.ContainsFunc(o.Agents, func(f usbkit.File) bool { return f.Name == name }) {
			continue
		}
		b, err := texts.ReadFile("texts/" + starter)
		if err != nil {
			return m, fmt.Errorf("make kit: %w", err)
		}
		if starter == "start.bat" {
			b = crlf(b)
		}
		m.Files[starter] = b
	}
	for _, language := range []string{"ja", "en"} {
		for _, form := range []string{"txt", "html"} {
			b, err := manual(m.Kit, language, form)
			if err != nil {
				return m, err
			}
			m.Files["MANUAL-"+language+"."+form] = b
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.Files)) {
		m.Kit.Files = append(m.Kit.Files, usbkit.File{Name: name, SHA256: digest.Of(m.Files[name]).String(), Size: int64(len(m.Files[name]))})
	}
	document, err := m.Kit.Encode()
	if err != nil {
		return m, err
	}
	sig, err := sign(document, o.Signer, o.Certificate)
	if err != nil {
		return m, err
	}
	m.Document, m.SHA256 = document, digest.Of(document).String()
	m.Files[usbkit.DocumentFile], m.Files[usbkit.SignatureFile] = document, sig
	m.Files[usbkit.SumsFile] = sums(m)
	return m, nil
}

// sums is what sha256sum -c takes.
func sums(m Made) []byte {
	var b strings.Builder
	for _, f := range m.Kit.Files {
		fmt.Fprintf(&b, "%s  %s\n", f.SHA256, f.Name)
	}
	for _, name := range []string{usbkit.DocumentFile, usbkit.SignatureFile} {
		fmt.Fprintf(&b, "%s  %s\n", digest.Of(m.Files[name]), name)
	}
	return []byte(b.String())
}

// manual fills in the page for the person at the PC.
func manual(k usbkit.Kit, language, form string) ([]byte, error) {
	b, err := texts.ReadFile("texts/manual-" + language + "." + form)
	if err != nil {
		return nil, fmt.Errorf("make kit: %w", err)
	}
	words := map[string][3]string{
		"ja": {"暗号化します(この組織だけが開けます)", "暗号化しません(USBメモリーを拾った人も読めます。なくさないでください)", "インシデント: "},
		"en": {"encrypted; only this organisation can open them", "not encrypted: whoever finds the stick can read them. Do not lose it", "Incident: "},
	}[language]
	sealed, incident := words[0], ""
	if len(k.Recipients) == 0 {
		sealed = words[1]
	}
	if k.Incident != "" {
		incident = words[2] + k.Incident
	}
	quote := func(s string) string { return s }
	if form == "html" {
		quote = html.EscapeString
	}
	s := strings.NewReplacer(
		"{organisation}", quote(k.Organisation.Name), "{incident}", quote(incident), "{kit}", quote(k.KitID[max(0, len(k.KitID)-8):]),
		"{made}", quote(k.MadeAt.UTC().Format("2006-01-02")), "{by}", quote(k.MadeBy), "{sealed}", quote(sealed),
	).Replace(string(b))
	if form == "txt" { // for editors of Windows, which want both
		return crlf([]byte("\ufeff" + s)), nil
	}
	return []byte(s), nil
}

func crlf(b []byte) []byte { return []byte(strings.ReplaceAll(string(b), "\n", "\r\n")) }
