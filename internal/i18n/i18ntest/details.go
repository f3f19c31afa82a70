package i18ntest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"hozen/internal/i18n"
)

var (
	verb     = regexp.MustCompile(`%[#+]?[0-9]*(?:\.[0-9]+)?[a-zA-Z]`)
	sentence = regexp.MustCompile(`[a-z]+ [a-z%]`)
	written  = regexp.MustCompile(`[ぁ-んァ-ヶ一-龠]`)
)

// Details fails t for every English sentence in the Go files of these packages that d does not say in
// Japanese, but for those in except. Only what is an argument of a call of one of these functions, or a
// Detail in a composite literal, is looked at; without functions it is every string. Texts of SQL are no sentences.
func Details(t testing.TB, d i18n.Details, except, functions []string, dirs ...string) {
	t.Helper()
	n := 0
	for _, dir := range dirs {
		list, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(list) == 0 {
			t.Fatalf("no program in %s: %v", dir, err)
		}
		for _, file := range list {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, s := range sentences(t, file, functions) {
				if slices.Contains(except, s) {
					continue
				}
				n++
				said := d.Text(verb.ReplaceAllStringFunc(s, sample))
				if !written.MatchString(said) {
					t.Errorf("%s: not in Japanese: %q", file, s)
				}
			}
		}
	}
	if n == 0 {
		t.Error("no sentence was found")
	}
}

// sample is what a verb may become.
func sample(v string) string {
	switch v[len(v)-1] {
	case 'd':
		return "7"
	case 'q':
		return `"x"`
	}
	return "x"
}

func sentences(t testing.TB, file string, functions []string) (out []string) {
	t.Helper()
	src, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	f, err := parser.ParseFile(token.NewFileSet(), file, src, 0)
	if err != nil {
		t.Fatal(err)
	}
	literals := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
				s, err := strconv.Unquote(l.Value)
				if err == nil && sentence.MatchString(s) && !strings.Contains(s, "SELECT ") {
					out = append(out, s)
				}
			}
			return true
		})
	}
	if len(functions) == 0 {
		literals(f)
		return out
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if slices.Contains(functions, name(n.Fun)) {
				for _, a := range n.Args {
					literals(a)
				}
			}
		case *ast.CompositeLit:
			if slices.Contains(functions, name(n.Type)) {
				literals(n)
			}
		case *ast.AssignStmt:
			for i, to := range n.Lhs {
				if name(to) == "Detail" && i < len(n.Rhs) {
					literals(n.Rhs[i])
				}
			}
		case *ast.KeyValueExpr:
			if name(n.Key) == "Detail" {
				literals(n.Value)
			}
		}
		return true
	})
	return out
}

func name(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}
