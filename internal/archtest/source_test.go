package archtest

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// maxLines is where a file stops being one thing.
const maxLines = 600

// goFile is one parsed file of the tree, whatever system it is for.
type goFile struct {
	path string // from the root of the tree
	src  []byte
	ast  *ast.File
}

func (f goFile) test() bool      { return strings.HasSuffix(f.path, "_test.go") }
func (f goFile) generated() bool { return ast.IsGenerated(f.ast) }

// tree calls fn for every file of the tree that is the project's own.
func tree(t *testing.T, fn func(path string, src []byte)) {
	t.Helper()
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == ".git" || name == ".build" || name == ".run" || name == "testdata" {
				return fs.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel("../..", path)
		fn(filepath.ToSlash(rel), src)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func goFiles(t *testing.T) (*token.FileSet, []goFile) {
	t.Helper()
	fset := token.NewFileSet()
	var files []goFile
	tree(t, func(path string, src []byte) {
		if !strings.HasSuffix(path, ".go") {
			return
		}
		f, err := parser.ParseFile(fset, path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Errorf("parse: %v", err)
			return
		}
		files = append(files, goFile{path, src, f})
	})
	return fset, files
}

func TestFilesAreOneThing(t *testing.T) {
	_, files := goFiles(t)
	for _, f := range files {
		if n := bytes.Count(f.src, []byte("\n")); n > maxLines && !f.generated() && !f.test() {
			t.Errorf("%s has %d lines, more than %d", f.path, n, maxLines)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	_, files := goFiles(t)
	for _, f := range files {
		if f.generated() {
			continue
		}
		for _, d := range f.ast.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has func init: build in main, pass down", f.path)
			}
		}
	}
}

func TestTestsDoNotSleep(t *testing.T) {
	fset, files := goFiles(t)
	for _, f := range files {
		if !f.test() || sleepAllowed[f.path] != "" {
			continue
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Sleep" {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "time" && !inSynctest(f.ast) {
					t.Errorf("%v: time.Sleep in a test: wait for what you need, with a deadline", fset.Position(s.Pos()))
				}
			}
			return true
		})
	}
}

// inSynctest: a sleep inside a synctest bubble takes no time and is exact.
func inSynctest(f *ast.File) bool {
	for _, imp := range f.Imports {
		if imp.Path.Value == `"testing/synctest"` {
			return true
		}
	}
	return false
}

// TestPackageVariablesStayAsTheyWere fails where a function writes a variable of
// its package. The type checker runs without imports, which is enough to tell a
// package's variable from a local one.
func TestPackageVariablesStayAsTheyWere(t *testing.T) {
	fset, files := goFiles(t)
	byPackage := map[string][]*ast.File{} // neutral files count for every system
	for _, f := range files {
		if f.generated() || f.test() || mutableAllowed[f.path] != "" {
			continue
		}
		for _, system := range []string{"linux", "windows", "other"} {
			if own := osOf(f.path); own == "" || own == system {
				key := filepath.Dir(f.path) + " " + f.ast.Name.Name + " " + system
				byPackage[key] = append(byPackage[key], f.ast)
			}
		}
	}
	said := map[token.Pos]bool{}
	for _, asts := range byPackage {
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		conf := types.Config{Error: func(error) {}, Importer: nothing{}, FakeImportC: true, DisableUnusedImportCheck: true}
		p, _ := conf.Check(asts[0].Name.Name, fset, asts, info) // errors are expected: nothing is imported
		check := func(e ast.Expr) {
			id := rootOf(e)
			if id == nil || p == nil {
				return
			}
			if v, ok := info.Uses[id].(*types.Var); ok && v.Parent() == p.Scope() && !said[id.Pos()] {
				said[id.Pos()] = true
				t.Errorf("%v: writes package variable %s: build in main, pass down", fset.Position(id.Pos()), id.Name)
			}
		}
		for _, f := range asts {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, e := range n.Lhs {
						check(e)
					}
				case *ast.IncDecStmt:
					check(n.X)
				}
				return true
			})
		}
	}
}

// osOf returns the system that a file's name carries, "" for a neutral file. Files
// for different systems define the same names.
func osOf(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), ".go")
	for _, system := range []string{"linux", "windows", "other"} {
		if strings.HasSuffix(name, "_"+system) {
			return system
		}
	}
	return ""
}

// rootOf returns x of x, x.f, x[i] and *x on the left of an assignment.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	return types.NewPackage(path, filepath.Base(path)), nil
}

// TestNoTextThatLies looks for characters that make a text look other than it is
// (Unicode TR 36, "Trojan Source"): a bilingual tree is where they hide well.
func TestNoTextThatLies(t *testing.T) {
	tree(t, func(path string, src []byte) {
		if strings.HasSuffix(path, ".ttf.zst") {
			return // a packed font is no text
		}
		for i, r := range string(src) {
			if r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 {
				t.Errorf("%s: line %d: bidirectional control U+%04X", path, 1+bytes.Count(src[:i], []byte("\n")), r)
			}
		}
	})
}
