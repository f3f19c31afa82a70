package localapi

import (
	"testing"

	"golang.org/x/sys/windows"

	"hozen/internal/winapi/pipe"
)

// ownUID is who this process is, in the words of a Peer.
func ownUID(t *testing.T) string {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		t.Fatal(err)
	}
	admins, err := windows.CreateWellKnownSid(windows.WinBuiltinAdministratorsSid)
	if err != nil {
		t.Fatal(err)
	}
	if yes, err := windows.Token(0).IsMember(admins); err == nil && yes || u.User.Sid.IsWellKnown(windows.WinLocalSystemSid) {
		return rootUser
	}
	return u.User.Sid.String()
}

// TestRights: what guards the pipe can be read, and nobody but administrators may make
// an instance of it.
func TestRights(t *testing.T) {
	l, err := pipe.Listen(PipeName(t.TempDir()), pipeRights)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
}
