package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sort"
	"strings"
	"syscall"
	"time"
)

// testEvent is one line of `go test -json` (see `go doc test2json`).
type testEvent struct {
	Action     string
	Package    string
	Test       string
	Elapsed    float64
	Output     string
	ImportPath string
}

// testOutcomes maps "package TestName" to pass, fail or skip.
type testOutcomes map[string]string

// goTest runs `go test -json` with args, counts every test and says what failed.
func (c *checker) goTest(ctx context.Context, env []string, args ...string) error {
	return c.tests(ctx, "", env, append([]string{"go", "test", "-json"}, args...)...)
}

// tests is goTest with a command that prints what `go test -json` does; mark is put behind
// the names of its packages, for a test may run on more than one system.
func (c *checker) tests(ctx context.Context, mark string, env []string, args ...string) error {
	p := exec.CommandContext(ctx, args[0], args[1:]...)
	p.Env = append(os.Environ(), env...)
	p.Cancel = func() error { return p.Process.Signal(syscall.SIGTERM) }
	p.WaitDelay = time.Minute
	out, err := p.StdoutPipe()
	if err != nil {
		return fmt.Errorf("open pipe: %w", err)
	}
	p.Stderr = p.Stdout
	if err := p.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	parseErr := c.readTests(out, mark)
	err = p.Wait()
	switch {
	case err != nil && p.ProcessState.ExitCode() == exitNoWine:
		return fmt.Errorf("%w: %w", errNoWine, parseErr)
	case err != nil && parseErr == nil:
		return fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	return parseErr
}

// readTests reads the JSON lines of a test run. The output of what passed is dropped.
// Runs may go on beside each other.
func (c *checker) readTests(r io.Reader, mark string) error {
	var broken []string
	events := 0
	said := map[string][]string{} // output by package and test
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var ev testEvent
		if err := json.Unmarshal(lines.Bytes(), &ev); err != nil {
			said[" "] = append(said[" "], lines.Text()+"\n") // not of a test: the go command itself
			continue
		}
		if ev.Package != "" {
			ev.Package += mark
		}
		key := ev.Package + " " + ev.Test
		switch ev.Action {
		case "output":
			said[key] = append(said[key], ev.Output)
		case "build-output":
			said[" "] = append(said[" "], ev.Output)
		case "pass", "skip", "fail":
			switch {
			case ev.Test != "":
				events++
			case ev.Action == "fail" && failedTests(broken, ev.Package):
				continue // its tests are named already
			}
			if c.count(ev, strings.Join(said[key], "")) {
				broken = append(broken, strings.TrimSpace(key))
			}
			delete(said, key)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read test output: %w", err)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%s%d tests failed", strings.Join(said[" "], ""), len(broken))
	}
	if text := said[" "]; len(text) > 0 && events == 0 {
		return errors.New(strings.Join(text, ""))
	}
	return nil
}

// count counts the end of a test, or that of a package where it failed without one of its
// tests, and reports whether it is a failure.
func (c *checker) count(ev testEvent, said string) (broken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ev.Test == "" && ev.Action == "pass" && ev.Elapsed >= 10 {
		fmt.Fprintf(c.out, "   %s %.0f s\n", ev.Package, ev.Elapsed)
	}
	if ev.Test == "" && ev.Action != "fail" {
		return false
	}
	name := strings.TrimSpace(ev.Package + " " + ev.Test)
	if c.seen == nil {
		c.seen = testOutcomes{}
	}
	if ev.Test != "" && c.seen[name] != "pass" { // a run may have what another one skipped
		c.seen[name] = ev.Action
	}
	switch ev.Action {
	case "pass":
		c.passed++
	case "skip":
		c.skipped++
	case "fail":
		c.failed++
		c.troubles = append(c.troubles, name)
		fmt.Fprintf(c.out, "   --- FAIL %s\n%s\n", name, indent(tail(said, 120)))
	}
	return ev.Action == "fail"
}

func failedTests(broken []string, pkg string) bool {
	for _, b := range broken {
		if strings.HasPrefix(b, pkg+" ") {
			return true
		}
	}
	return false
}

// mustRun holds the list in .ci/must-run against what ran: as root none of these
// tests may be absent or skipped, for a test that never runs proves nothing.
func (c *checker) mustRun(context.Context) error {
	list, err := os.ReadFile(".ci/must-run")
	if err != nil {
		return fmt.Errorf("read the list of tests: %w", err)
	}
	bad, err := c.seen.lacks(string(list))
	if err != nil {
		return err
	}
	if len(bad) == 0 {
		return nil
	}
	if !c.root {
		fmt.Fprintf(c.out, "   not root: %d tests of .ci/must-run were left out\n", len(bad))
		return nil
	}
	return fmt.Errorf("these tests must run as root (.ci/must-run):\n%s", strings.Join(bad, "\n"))
}

// lacks returns the lines of list, "package TestName" below module hozen, that did
// not run to an end.
func (seen testOutcomes) lacks(list string) (bad []string, err error) {
	for n, line := range strings.Split(list, "\n") {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf(".ci/must-run line %d: want \"package TestName\"", n+1)
		}
		switch seen["hozen/"+fields[0]+" "+fields[1]] {
		case "pass", "fail":
		case "skip":
			bad = append(bad, fields[0]+" "+fields[1]+": skipped")
		default:
			bad = append(bad, fields[0]+" "+fields[1]+": did not run")
		}
	}
	sort.Strings(bad)
	return bad, nil
}
