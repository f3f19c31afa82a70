package wine

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
)

// engineSource is the stand-in for Windows's base filtering engine, from the module's folder
// on.
const engineSource = "agent/internal/isolate/wfp/testdata/fakebfe/fakebfe.c"

// AddEngine puts a stand-in for the base filtering engine on the session's disk, which Wine
// has not: it keeps and logs what it is told and filters nothing. It is compiled with the
// platform's headers. module is the folder of the module. Without the compiler the error
// wraps [ErrUnavailable]; what is tested then finds no engine.
func (s *Session) AddEngine(ctx context.Context, module string) error {
	const compiler = "x86_64-w64-mingw32-gcc"
	cc, err := exec.LookPath(compiler)
	if err != nil {
		return fmt.Errorf("%w: no stand-in for the filtering engine: %s is not installed: apt-get install gcc-mingw-w64-x86-64", ErrUnavailable, compiler)
	}
	dll := s.Path(DriveC("windows/system32/fwpuclnt.dll"))
	cmd := exec.CommandContext(ctx, cc, "-O1", "-shared", "-o", dll, filepath.Join(module, engineSource), "-lrpcrt4", "-ladvapi32")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile the stand-in for the filtering engine: %w: %s", err, out)
	}
	return nil
}
