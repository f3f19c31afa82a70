package wine

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// ErrNoCompiler says that a stand-in cannot be made here.
var ErrNoCompiler = errors.New("x86_64-w64-mingw32-gcc is not installed: apt-get install gcc-mingw-w64-x86-64-win32")

// FilterEngine is the source of a stand-in for Windows's filtering platform, below the
// module's folder: it keeps, checks and logs what it is told, and filters nothing.
const FilterEngine = "agent/internal/isolate/wfp/testdata/fakebfe/fakebfe.c"

// StandIn makes fwpuclnt.dll in dir out of [FilterEngine] of the module.
func StandIn(ctx context.Context, module, dir string) (string, error) {
	const compiler = "x86_64-w64-mingw32-gcc"
	if _, err := exec.LookPath(compiler); err != nil {
		return "", ErrNoCompiler
	}
	path := filepath.Join(dir, "fwpuclnt.dll")
	cmd := exec.CommandContext(ctx, compiler, "-O1", "-Wall", "-shared", "-o", path, filepath.Join(module, FilterEngine), "-lrpcrt4", "-ladvapi32")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile stand-in: %w\n%s", err, out)
	}
	return path, nil
}
