package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// Packages that run the whole system; they have a step of their own.
const e2ePackage = "hozen/internal/e2e"

// lints is what staticcheck checks: its defaults, and some on errors and imports.
// SA4023 is off because it fires on files for one operating system that always
// return errors.ErrUnsupported, which callers of another system compare with nil.
const lints = "inherit,-SA4023,ST1005,ST1016,ST1017,ST1018,ST1019,ST1023"

// plain is the environment in which the programs are built. Tests and checks use it too,
// so that what one step compiled no other one compiles again.
func plain(more ...string) []string {
	return append([]string{"CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false"}, more...)
}

// plan returns the steps of a mode.
func (c *checker) plan(mode string) ([]step, bool) {
	// Each system has a lane, for the checks of one system build upon what the one before
	// compiled.
	const ours, theirs = "linux", "windows"
	static := []step{
		{"gofmt", c.gofmt, ours},
		{"vet linux", vet("linux"), ours},
		{"vet windows", vet("windows"), theirs},
		{"staticcheck linux", lint("linux"), ours},
		{"staticcheck windows", lint("windows"), theirs},
		{"architecture", func(ctx context.Context) error { return c.goTest(ctx, plain(), "-vet=off", "hozen/internal/archtest") }, ours},
		{"proto lint", func(ctx context.Context) error { return quiet(ctx, "", nil, "buf", "lint", "proto") }, ours},
		{"proto breaking", func(ctx context.Context) error {
			return quiet(ctx, "", nil, "buf", "breaking", "proto", "--against", "proto/hozen.binpb")
		}, ours},
		{"proto generated", generated, ours},
		{"go.mod tidy", func(ctx context.Context) error { return quiet(ctx, "", nil, "go", "mod", "tidy", "-diff") }, ours},
		{"tools go.mod tidy", func(ctx context.Context) error {
			return quiet(ctx, "internal/tools", nil, "go", "mod", "tidy", "-diff")
		}, ours},
		{"nfpm go.mod tidy", func(ctx context.Context) error {
			return quiet(ctx, "internal/tools/nfpm", nil, "go", "mod", "tidy", "-diff")
		}, ours},
		{"winres go.mod tidy", func(ctx context.Context) error {
			return quiet(ctx, "internal/tools/winres", nil, "go", "mod", "tidy", "-diff")
		}, ours},
		{"agent links", agentLinks, ours},
		{"cross-build", crossBuild, theirs},
	}
	switch mode {
	case "static":
		return static, true
	case "test":
		all := append([]step{{name: "prerequisites", run: c.prerequisites}}, static...)
		return append(all,
			step{name: "tests with the race detector", run: c.raceTests},
			step{name: "tests with crash points", run: c.crashTests},
			step{name: "end to end", run: c.endToEnd, lane: ours},
			step{name: "tests under Wine", run: c.wineTests, lane: theirs},
			step{name: "end to end under Wine", run: c.wineEndToEnd, lane: theirs},
			step{name: "PCs that go down", run: c.shutdownEndToEnd},
			step{name: "must-run", run: c.mustRun},
		), true
	case "fuzz":
		return []step{{name: "fuzz", run: c.fuzz}}, true
	case "soak":
		return []step{{name: "prerequisites", run: c.prerequisites}, {name: "soak", run: c.soak}, {name: "fuzz", run: c.fuzz}}, true
	}
	return nil, false
}

func (c *checker) gofmt(ctx context.Context) error {
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return fs.SkipDir
		case strings.HasSuffix(path, ".go"):
			files = append(files, path)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list Go files: %w", err)
	}
	return quiet(ctx, "", nil, "gofmt", append([]string{"-l"}, files...)...)
}

func vet(goos string) func(context.Context) error {
	return func(ctx context.Context) error {
		return quiet(ctx, "", plain("GOOS="+goos), "go", "vet", "./...")
	}
}

// What only one system's files use stands in files of every system, so that it is
// compiled and tested everywhere; whether it is used at all is asked on Linux, which
// uses all of it.
func lint(goos string) func(context.Context) error {
	checks := lints
	if goos != "linux" {
		checks += ",-U1000"
	}
	return func(ctx context.Context) error {
		return quiet(ctx, "", plain("GOOS="+goos), "staticcheck", "-checks", checks, "./...")
	}
}

// generated compares the committed wire code and descriptor image with what the
// generators make of the .proto files now. It writes outside the tree only.
func generated(ctx context.Context) error {
	tmp, err := os.MkdirTemp("", "hozen-generated-")
	if err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := quiet(ctx, "", nil, "buf", "generate", "--template", "proto/buf.gen.yaml", "-o", tmp); err != nil {
		return err
	}
	if err := quiet(ctx, "", nil, "buf", "build", "proto", "--exclude-source-info", "-o", tmp+"/proto/hozen.binpb"); err != nil {
		return err
	}
	fresh, err := wireFiles(tmp)
	if err != nil {
		return err
	}
	have, err := wireFiles(".")
	if err != nil {
		return err
	}
	var differ []string
	for name, b := range fresh {
		if !bytes.Equal(b, have[name]) {
			differ = append(differ, name)
		}
	}
	for name := range have {
		if _, ok := fresh[name]; !ok {
			differ = append(differ, name+" (nothing makes it)")
		}
	}
	if len(differ) > 0 {
		return fmt.Errorf("run `make generate` and commit:\n%s", strings.Join(differ, "\n"))
	}
	return nil
}

func wireFiles(root string) (map[string][]byte, error) {
	files := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(root, "proto"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".pb.go") && !strings.HasSuffix(path, ".binpb") {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		files[name], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read generated files: %w", err)
	}
	return files, nil
}

// builtOn are the libraries that the agent was decided to be built on, on every system.
var builtOn = []string{"github.com/shirou/gopsutil/v3", "google.golang.org/grpc", "google.golang.org/protobuf", "github.com/kardianos/service"}

// agentLinks keeps out of the agent what costs megabytes at once (template engines
// switch off the linker's dead code removal) or what an agent must not have.
func agentLinks(ctx context.Context) error {
	banned := regexp.MustCompile(`^(text/template|html/template|golang\.org/x/net/trace|database/sql|modernc\.org/.*|hozen/internal/(e2e|bench).*)$`)
	var bad []string
	for _, goos := range []string{"linux", "windows"} {
		env := []string{"GOOS=" + goos, "CGO_ENABLED=0"}
		out, err := cmd(ctx, "", env, "go", "list", "-deps", "-tags", "grpcnotrace", "./agent")
		if err != nil {
			return err
		}
		linked := strings.Fields(out)
		for _, pkg := range linked {
			if banned.MatchString(pkg) {
				bad = append(bad, fmt.Sprintf("the agent for %s links %s", goos, pkg))
			}
		}
		for _, root := range builtOn {
			if !slices.ContainsFunc(linked, func(pkg string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }) {
				bad = append(bad, fmt.Sprintf("the agent for %s does not use %s, which it is built on", goos, root))
			}
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

func crossBuild(ctx context.Context) error {
	for _, goos := range []string{"linux", "windows"} {
		for _, arch := range []string{"amd64", "arm64"} {
			for _, args := range [][]string{
				{"-tags", "grpcnotrace", "./agent"}, {"./collector", "./internal/cmd/hozen-verify"},
			} {
				args = append([]string{"build", "-ldflags=-s -w", "-o", os.DevNull}, args...)
				if err := quiet(ctx, "", plain("GOOS="+goos, "GOARCH="+arch), "go", args...); err != nil {
					return fmt.Errorf("for %s/%s: %w", goos, arch, err)
				}
			}
		}
	}
	return nil
}

// raceTests runs every test but the whole-system ones with the race detector, and
// with them the seeds of every fuzz target.
func (c *checker) raceTests(ctx context.Context) error {
	pkgs, err := packages(ctx, func(p string) bool {
		return !strings.HasPrefix(p, e2ePackage) && p != "hozen/internal/archtest"
	})
	if err != nil {
		return err
	}
	// One more than there are processors: they wait for disks, clocks and other programs.
	args := []string{"-race", "-vet=off", "-timeout", "30m", "-p", strconv.Itoa(runtime.NumCPU() + 1), "-gcflags=modernc.org/sqlite/lib=-race=false", "-gcflags=modernc.org/libc/...=-race=false"}
	return c.goTest(ctx, []string{"CGO_ENABLED=1"}, append(args, pkgs...)...)
}

// crashTests runs the tests of packages that can be killed at a named moment, built
// so that they can be. The whole-system ones build their own programs.
func (c *checker) crashTests(ctx context.Context) error {
	const mark = "hozen/internal/crashpoint"
	out, err := cmd(ctx, "", nil, "go", "list", "-f", "{{.ImportPath}} {{.Imports}} {{.TestImports}} {{.XTestImports}}", "./...")
	if err != nil {
		return err
	}
	args := []string{"-vet=off", "-tags", "crashpoint", "-timeout", "10m"}
	for line := range strings.Lines(out) {
		pkg, imports, _ := strings.Cut(line, " ")
		if strings.Contains(imports, mark) && !strings.HasPrefix(pkg, e2ePackage) {
			args = append(args, pkg)
		}
	}
	return c.goTest(ctx, plain(), append(args, "-count=1")...)
}

// Tests of the whole system that use the machine in their own way: those with a guest
// whose processor is played keep one processor busy for minutes, and do not mind what the
// other one does; those of a PC that goes down hold it against a time; those of Windows
// programs want Wine.
const (
	virtualTests  = "^Test(Isolation)?Virtual"
	shutdownTests = "^TestShutdown"
	windowsTests  = "^TestWindows"
)

// endToEnd runs the real programs. Caching would hide a changed program. What holds a
// PC's end against a time runs alone, all the rest beside the played processor.
func (c *checker) endToEnd(ctx context.Context) error {
	beside := make(chan error, 1)
	go func() { beside <- c.programTests(ctx, "-run", virtualTests) }()
	err := c.programTests(ctx, "-skip", virtualTests+"|"+shutdownTests+"|"+windowsTests)
	return errors.Join(err, <-beside)
}

func (c *checker) shutdownEndToEnd(ctx context.Context) error {
	return c.programTests(ctx, "-run", shutdownTests)
}

// programTests runs tests of the whole system with programs that are built once.
func (c *checker) programTests(ctx context.Context, args ...string) error {
	dir, err := c.programs(ctx)
	if err != nil {
		return err
	}
	args = append([]string{"-vet=off", "-count=1", "-timeout", "40m", e2ePackage + "/..."}, args...)
	return c.goTest(ctx, plain("HOZEN_E2E_BIN="+dir), args...)
}

func (c *checker) soak(ctx context.Context) error {
	return c.goTest(ctx, plain("HOZEN_SOAK=1"), "-vet=off", "-count=1", "-timeout", "8h", e2ePackage+"/...", "./collector/internal/export")
}

var fuzzName = regexp.MustCompile(`(?m)^Fuzz\w+$`)

// fuzz runs each fuzz target of the tree for the given time.
func (c *checker) fuzz(ctx context.Context) error {
	pkgs, err := packages(ctx, func(string) bool { return true })
	if err != nil {
		return err
	}
	var bad []string
	for _, pkg := range pkgs {
		out, err := cmd(ctx, "", nil, "go", "test", "-vet=off", "-list", "^Fuzz", pkg)
		if err != nil {
			return err
		}
		for _, name := range fuzzName.FindAllString(out, -1) {
			fmt.Fprintf(c.out, "   %s %s\n", pkg, name)
			args := []string{"test", "-vet=off", "-run", "^$", "-fuzz", "^" + name + "$", "-fuzztime", c.fuzzTime.String(), pkg}
			if _, err := cmd(ctx, "", nil, "go", args...); err != nil {
				c.failed++
				bad = append(bad, err.Error())
				continue
			}
			c.passed++
		}
	}
	if len(bad) > 0 {
		return errors.New(strings.Join(bad, "\n"))
	}
	return nil
}

// packages lists the module's packages that keep says yes to.
func packages(ctx context.Context, keep func(string) bool) ([]string, error) {
	p := exec.CommandContext(ctx, "go", "list", "./...")
	p.Stderr = os.Stderr
	out, err := p.Output()
	if err != nil {
		return nil, fmt.Errorf("list packages: %w", err)
	}
	var pkgs []string
	for _, pkg := range strings.Fields(string(out)) {
		if keep(pkg) {
			pkgs = append(pkgs, pkg)
		}
	}
	return pkgs, nil
}
