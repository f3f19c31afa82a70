package archtest

import (
	"go/ast"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	createTable = regexp.MustCompile(`(?i)CREATE TABLE (?:IF NOT EXISTS )?([a-z_]+)`)
	inSQL       = regexp.MustCompile(`(?i)\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+([a-z]+_[a-z_]+)\b`)
)

// TestTablesHaveOneOwner: a table belongs to the package that its prefix names, and
// nobody else's SQL touches it.
func TestTablesHaveOneOwner(t *testing.T) {
	tables := map[string]bool{}
	migrations, err := filepath.Glob("../../collector/internal/sqldb/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		t.Fatalf("migrations %v, %v", migrations, err)
	}
	for _, path := range migrations {
		sql, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range createTable.FindAllStringSubmatch(string(sql), -1) {
			tables[m[1]] = true
		}
	}
	fset, files := goFiles(t)
	for _, f := range files {
		if f.test() || !strings.HasPrefix(f.path, "collector/") {
			continue
		}
		own := filepath.Base(filepath.Dir(f.path))
		ast.Inspect(f.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			for _, m := range inSQL.FindAllStringSubmatch(lit.Value, -1) {
				owner, _, _ := strings.Cut(m[1], "_")
				if tables[m[1]] && owner != own && tableGuests[own+" "+m[1]] == "" {
					t.Errorf("%v: %s touches table %s of %s", fset.Position(lit.Pos()), own, m[1], owner)
				}
			}
			return true
		})
	}
}
