package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozen/internal/e2e/rig"
)

// exitNoWine is how hozen-wine ends where there can be no Wine.
const exitNoWine = 3

var errNoWine = errors.New("left out")

// onWindows stands behind the names of packages whose tests ran under Wine.
const onWindows = "@windows"

// notUnderWine are packages whose tests cannot run there, with the reason.
func notUnderWine() map[string]string {
	return map[string]string{
		"hozen/agent/internal/acquire": "all that it has for Windows alone, the names of host and boot, stands in what the tests of the whole system verify",
	}
}

// wineTests runs under Wine the tests of every package that has code for Windows. Where
// there can be no Wine they are left out, which .ci/must-run does not let pass as root.
func (c *checker) wineTests(ctx context.Context) error {
	pkgs, err := windowsPackages(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hozen-program-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "hozen-wine")
	if err := quiet(ctx, "", plain(), "go", "build", "-o", program, "./internal/cmd/hozen-wine"); err != nil {
		return err
	}
	args := []string{program, "go", "test", "-json", "-vet=off", "-short", "-count=1", "-timeout", "10m"}
	err = c.tests(ctx, onWindows, plain(), append(args, pkgs...)...)
	if errors.Is(err, errNoWine) {
		c.note(err.Error())
		return nil
	}
	return err
}

// wineEndToEnd runs the real programs, the agent's under Wine.
func (c *checker) wineEndToEnd(ctx context.Context) error {
	return c.programTests(ctx, "-run", windowsTests)
}

// windowsPackages lists the packages whose tests run code that no other system compiles.
func windowsPackages(ctx context.Context) ([]string, error) {
	const files = `{{$p := .ImportPath}}{{range .GoFiles}}{{$p}} code {{.}}
{{end}}{{range .TestGoFiles}}{{$p}} test {{.}}
{{end}}{{range .XTestGoFiles}}{{$p}} test {{.}}
{{end}}`
	var lists []string
	for _, goos := range []string{"linux", "windows"} {
		out, err := cmd(ctx, "", plain("GOOS="+goos), "go", "list", "-f", files, "./...")
		if err != nil {
			return nil, err
		}
		lists = append(lists, out)
	}
	return withWindowsCode(lists[0], lists[1]), nil
}

// withWindowsCode finds in two lists of "package code|test file", of Linux and of Windows,
// the packages that have tests there and files which Linux does not have. A file *other.go
// says only that there is nothing to be done.
func withWindowsCode(linux, windows string) (pkgs []string) {
	here := map[string]bool{}
	for line := range strings.Lines(linux) {
		here[strings.TrimSpace(line)] = true
	}
	tested, own := map[string]bool{}, map[string]bool{}
	for line := range strings.Lines(windows) {
		line = strings.TrimSpace(line)
		f := strings.Fields(line)
		if len(f) != 3 || strings.HasPrefix(f[0], e2ePackage) {
			continue
		}
		if f[1] == "test" {
			tested[f[0]] = true
		}
		nothing := strings.HasSuffix(f[2], "other.go") || strings.HasSuffix(f[2], "other_test.go")
		if !here[line] && !nothing {
			own[f[0]] = true
		}
	}
	for pkg := range own {
		if _, cannot := notUnderWine()[pkg]; tested[pkg] && !cannot {
			pkgs = append(pkgs, pkg)
		}
	}
	slices.Sort(pkgs)
	return pkgs
}

// programs builds the programs that are tested as a whole, once; runAll removes them.
func (c *checker) programs(ctx context.Context) (string, error) {
	c.building.Lock()
	defer c.building.Unlock()
	if c.built != "" {
		return c.built, nil
	}
	dir, err := os.MkdirTemp("", "hozen-programs-")
	if err != nil {
		return "", fmt.Errorf("make folder: %w", err)
	}
	if _, err := rig.Build(ctx, ".", dir); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	c.built = dir
	return dir, nil
}
