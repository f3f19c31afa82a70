package report

import (
	"archive/zip"
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/xuri/excelize/v2"
)

// What a workbook costs in memory has nothing to do with how long its file is: one cell far to
// the right is filled up to there, in each of its rows. So this is counted before it is read.
const (
	maxColumn   = 512     // of a cell that is filled, SR
	maxRow      = 5000    // of a cell that is filled
	maxRows     = 10_000  // the highest of a sheet, and how many are written in it
	maxGrid     = 250_000 // cells of all sheets, each row up to its last cell
	maxMerged   = 5000    // merged areas of a sheet
	maxElements = 400_000 // of XML, in all parts
)

// CheckWorkbook refuses what no plain form is: other files, archives and sheets that grow
// beyond all measure, macros, embedded programs, and anything that would be fetched from
// elsewhere when the form is opened.
func CheckWorkbook(b []byte) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrWorkbook, fmt.Sprintf(format, args...))
	}
	if len(b) > MaxWorkbook {
		return refuse("larger than %d bytes", MaxWorkbook)
	}
	z, err := zip.NewReader(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return refuse("it is no .xlsx file, or it has a password")
	}
	if len(z.File) > maxParts {
		return refuse("it has %d parts", len(z.File))
	}
	seen := map[string]bool{}
	total := int64(0)
	var size measure
	for _, f := range z.File {
		name := strings.ToLower(f.Name)
		switch {
		case seen[name]:
			return refuse("a part stands in it twice")
		case strings.Contains(name, "..") || strings.HasPrefix(name, "/") || strings.Contains(name, `\`):
			return refuse("a part has a name that leads elsewhere")
		case f.Flags&1 != 0:
			return refuse("it has a password")
		case strings.Contains(name, "vbaproject") || strings.Contains(name, "macrosheets") || strings.Contains(name, "/activex/") || strings.Contains(name, "/embeddings/"):
			return refuse("it has macros or embedded programs")
		case strings.Contains(name, "externallinks/") || strings.Contains(name, "querytables/") || path.Base(name) == "connections.xml":
			return refuse("it takes data from elsewhere")
		}
		seen[name] = true
		// The size that the archive tells may be a lie: the bytes are counted.
		r, err := f.Open()
		if err != nil {
			return refuse("a part cannot be read")
		}
		part, err := io.ReadAll(io.LimitReader(r, maxPart+1))
		if err := errors.Join(err, r.Close()); err != nil {
			return refuse("a part cannot be read")
		}
		if total += int64(len(part)); len(part) > maxPart || total > maxUnpacked {
			return refuse("unpacked, it is larger than %d bytes", maxUnpacked)
		}
		if err := size.add(name, part); err != nil {
			return refuse("%v", err)
		}
		switch {
		case strings.HasSuffix(name, ".rels"):
			err = checkLinks(part)
		case name == "[content_types].xml":
			err = checkTypes(part)
		}
		if err != nil {
			return refuse("%v", err)
		}
	}
	if !seen["xl/workbook.xml"] {
		return refuse("it is no .xlsx file")
	}
	return nil
}

// foreign are pieces of the types of parts, in lower case, that a plain form does not have:
// what runs, what is embedded, and what is fetched. How a part is called says nothing: a
// program finds it by the type of the relationship that leads to it, and knows it by its type
// of content (ECMA-376-2 §9.2, §9.3; the types are in ECMA-376-1 §12.3 and MS-XLSX 2.1). The
// controls of a form, ctrlProp, are not in it: check boxes have them.
func foreign() []string {
	return []string{"externallink", "oleobject", "vbaproject", "vbadata", "macro", "connections", "querytable", "/control", "activex", "/package", "volatiledependencies", "powerpivot", "webextension", "extensibility"}
}

// isForeign reports whether a type of a relationship or of content is one of those.
func isForeign(kind string) bool {
	kind = strings.ToLower(kind)
	return slices.ContainsFunc(foreign(), func(s string) bool {
		if strings.HasPrefix(s, "/") {
			return strings.HasSuffix(kind, s)
		}
		return strings.Contains(kind, s)
	})
}

var errForeign = errors.New("it takes data from elsewhere, or has macros or embedded programs")

// checkLinks refuses relationships to such parts, and links to elsewhere but those that
// somebody has to click on.
func checkLinks(rels []byte) error {
	var list struct {
		All []struct {
			Type string `xml:"Type,attr"`
			Mode string `xml:"TargetMode,attr"`
		} `xml:"Relationship"`
	}
	if err := xml.Unmarshal(rels, &list); err != nil {
		return errors.New("its list of parts cannot be read")
	}
	for _, r := range list.All {
		if isForeign(r.Type) || strings.EqualFold(r.Mode, "External") && !strings.HasSuffix(r.Type, "/hyperlink") {
			return errForeign
		}
	}
	return nil
}

// checkTypes refuses such parts by the type of their content.
func checkTypes(types []byte) error {
	type kind struct {
		Type string `xml:"ContentType,attr"`
	}
	var list struct {
		Defaults  []kind `xml:"Default"`
		Overrides []kind `xml:"Override"`
	}
	if err := xml.Unmarshal(types, &list); err != nil {
		return errors.New("its list of types cannot be read")
	}
	for _, k := range slices.Concat(list.Defaults, list.Overrides) {
		if isForeign(k.Type) {
			return errForeign
		}
	}
	return nil
}

// measure counts what reading a workbook costs.
type measure struct {
	elements, grid int
}

// add counts a part. Which parts are sheets is said by other parts, and can be said of any:
// so each is looked at, and one that is not called XML must not be any.
func (m *measure) add(name string, part []byte) error {
	switch path.Ext(name) {
	case ".xml", ".rels", ".vml", ".svg":
	default:
		if bytes.Contains(part, []byte("sheetData")) || bytes.Contains(part, []byte("<?xml")) {
			return errors.New("a part is not what its name says")
		}
		return nil
	}
	d := xml.NewDecoder(bytes.NewReader(part))
	d.Strict = path.Ext(name) != ".vml" // as Excel writes those, they are not quite XML
	row, rows, column, merged := 0, 0, 0, 0
	for {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("a part is no XML in UTF-8")
		}
		e, starts := token.(xml.StartElement)
		if !starts {
			continue
		}
		m.elements++
		switch e.Name.Local {
		case "row":
			column, rows = 0, rows+1
			if row, err = position(e, row+1, strconv.Atoi); err != nil {
				return err
			}
		case "c":
			last := column
			column, err = position(e, column+1, func(ref string) (int, error) {
				column, at, err := excelize.CellNameToCoordinates(ref)
				row = max(row, at)
				return column, err
			})
			if err != nil {
				return err
			}
			// In a row, cells are filled up to the last; those that come again cost as well.
			m.grid += max(column-last, 1)
		case "mergeCell":
			merged++
		}
		if row > maxRows || rows > maxRows || merged > maxMerged || m.grid > maxGrid || m.elements > maxElements {
			return fmt.Errorf("its sheets are too large: at most %d rows, %d cells of all sheets and %d merged areas are taken", maxRows, maxGrid, maxMerged)
		}
	}
}

// position is where a row or a cell says that it is; next, if it says nothing.
func position(e xml.StartElement, next int, parse func(string) (int, error)) (int, error) {
	for _, a := range e.Attr {
		if a.Name.Local != "r" {
			continue
		}
		n, err := parse(strings.TrimSpace(a.Value))
		if err != nil || n < 1 {
			return 0, fmt.Errorf("a row or a cell is at %.20q", a.Value)
		}
		next = n
	}
	return next, nil
}
