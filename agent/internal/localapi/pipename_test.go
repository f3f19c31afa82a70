package localapi

import (
	"strings"
	"testing"
)

func TestPipeName(t *testing.T) {
	if got := PipeName(DefaultPipe); got != DefaultPipe {
		t.Errorf("%s", got)
	}
	a, b := PipeName(`C:\a\agent.sock`), PipeName(`C:\b\agent.sock`)
	if a == b || a != PipeName(`c:\A\agent.sock`) || !strings.HasPrefix(a, pipeFolder) {
		t.Errorf("%s %s", a, b)
	}
}

// TestPipeRights: people signed in at the PC may not make instances of the pipe
// (FILE_APPEND_DATA), which would let them answer in the agent's place.
func TestPipeRights(t *testing.T) {
	const appendData = 0x4
	if !strings.Contains(pipeRights, "(A;;0x12018b;;;IU)") || 0x12018b&appendData != 0 {
		t.Error(pipeRights)
	}
	if deny := strings.Index(pipeRights, "(D;;GA;;;NU)"); deny < 0 || deny > strings.Index(pipeRights, "(A;") {
		t.Error("the network is not refused first")
	}
}
