package localapi

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// pipeFolder is where only administrators may make pipes: nobody else can take the
// agent's place there.
const pipeFolder = `\\.\pipe\ProtectedPrefix\Administrators\`

// DefaultPipe is the name of the agent's pipe on Windows.
const DefaultPipe = pipeFolder + "hozen-agent"

// PipeName is the name of the pipe that stands for a path on Windows: the path itself
// where it is one of a pipe, else one that follows from the path.
func PipeName(path string) string {
	if strings.HasPrefix(path, `\\.\pipe\`) {
		return path
	}
	sum := sha256.Sum256([]byte(strings.ToLower(path)))
	return DefaultPipe + "-" + hex.EncodeToString(sum[:8])
}

// pipeRights says who may speak to the agent (SDDL): nobody from the network, the system
// and administrators, and whoever is signed in at this PC. These may read and write but
// not make instances of the pipe, which would let them answer in the agent's place.
const pipeRights = "D:P(D;;GA;;;NU)(A;;GA;;;SY)(A;;GA;;;BA)(A;;0x12018b;;;IU)"
