package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// epoch is the time of everything in an installer: cabinets know no earlier one.
func epoch() time.Time { return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC) }

var (
	leadingVersion = regexp.MustCompile(`^([0-9]+)\.([0-9]+)\.([0-9]+)`)
	comment        = regexp.MustCompile(`(?s)<!--.*?-->`)
)

// productVersion returns the three numbers that Windows Installer compares
// (https://learn.microsoft.com/windows/win32/msi/productversion).
func productVersion(version string) (string, error) {
	m := leadingVersion.FindStringSubmatch(version)
	if m == nil {
		return "", fmt.Errorf("version %q does not begin with three numbers", version)
	}
	for i, most := range []int{255, 255, 65535} {
		if n, err := strconv.Atoi(m[i+1]); err != nil || n > most {
			return "", fmt.Errorf("version %q: %s is more than %d", version, m[i+1], most)
		}
	}
	return m[0], nil
}

// words are what is filled in for a language.
func (m *maker) words(l language) (map[string]string, error) {
	version, err := productVersion(m.version)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	size := 0
	for _, path := range []string{m.agent, filepath.Join(m.source, "agent.wxs"), filepath.Join(m.source, "agent.tables"), filepath.Join(m.source, "hozen.ico")} {
		b, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read input: %w", err)
		}
		sum := sha256.Sum256(b)
		h.Write(sum[:])
		if path == m.agent {
			size = len(b)
		}
	}
	content := string(h.Sum(nil))
	return map[string]string{
		"UPGRADE": upgradeCode, "VERSION": version, "SIZE": strconv.Itoa(size), "LCID": l.lcid,
		// Windows takes two packages with the same code for the same file.
		"PRODUCT": guid("product", m.version, l.code, content), "PACKAGE": guid("package", m.version, l.code, content),
		"NAME": l.name, "DESCRIPTION": l.description, "NEWER": l.newer, "OLD": l.old, "LANG": l.code, "REPORT": l.report, "REPORTHINT": l.reportHint,
	}, nil
}

// guid makes a GUID out of what it names (RFC 9562, version 8).
func guid(parts ...string) string {
	sum := sha256.Sum256([]byte("hozen installer\n" + strings.Join(parts, "\n")))
	b := sum[:16]
	b[6] = b[6]&0x0f | 0x80
	b[8] = b[8]&0x3f | 0x80
	return strings.ToUpper(fmt.Sprintf("{%x-%x-%x-%x-%x}", b[:4], b[4:6], b[6:8], b[8:10], b[10:]))
}

// fill puts the words in the place of their names between two "@".
func fill(text string, words map[string]string) string {
	var pairs []string
	for name, word := range words {
		pairs = append(pairs, "@"+name+"@", word)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

// splitTables returns the tables of a file without its comments.
func splitTables(text string) (tables []string) {
	var table strings.Builder
	for line := range strings.Lines(text + "\n\n") {
		switch {
		case strings.HasPrefix(line, "# "):
		case strings.TrimSpace(line) != "":
			table.WriteString(line)
		case table.Len() > 0:
			tables = append(tables, table.String())
			table.Reset()
		}
	}
	return tables
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err == nil {
		err = os.Chtimes(to, epoch(), epoch())
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", filepath.Base(from), err)
	}
	return nil
}

var errSummary = errors.New("the installer's summary is not as expected")
