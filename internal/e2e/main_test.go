package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"hozen/internal/e2e/rig"
)

func TestMain(m *testing.M) {
	sceneMain()
	rig.PracticeMain()
	code := m.Run()
	for _, dir := range folders.list {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

// folders are what builds leave; the end of the test program removes them.
var folders struct {
	sync.Mutex
	list []string
}

// binVar names a folder of programs to test instead of building them.
const binVar = "HOZEN_E2E_BIN"

// raceVar is set where those were built with the race detector, which takes memory.
const raceVar = "HOZEN_E2E_RACE"

// built builds the programs once for all tests.
var built = sync.OnceValues(func() (rig.Programs, error) {
	if dir := os.Getenv(binVar); dir != "" {
		return rig.In(dir), nil
	}
	return build()
})

// builtToCrash builds programs that can be killed at a named moment.
var builtToCrash = sync.OnceValues(func() (rig.Programs, error) { return build("crashpoint") })

func build(tags ...string) (rig.Programs, error) {
	dir, err := os.MkdirTemp("", "hozen-e2e-")
	if err != nil {
		return rig.Programs{}, err
	}
	folders.Lock()
	folders.list = append(folders.list, dir)
	folders.Unlock()
	return rig.Build(context.Background(), "../..", dir, tags...)
}

// programs returns the programs under test.
func programs(t *testing.T) rig.Programs {
	t.Helper()
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// within returns a context that ends after d, or with the test.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// command runs a program to its end and returns its output and exit code.
func command(t *testing.T, path string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errOut bytes.Buffer
	cmd := exec.CommandContext(within(t, 2*time.Minute), path, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("run %s: %v", path, err)
	}
	return out.String(), errOut.String(), cmd.ProcessState.ExitCode()
}

func decode(t *testing.T, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("decode %.300q: %v", b, err)
	}
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skipf("%s is not installed", program)
	}
}
