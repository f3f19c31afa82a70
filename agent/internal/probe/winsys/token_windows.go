package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winscan"
)

// tokenIsAppContainer is of TOKEN_INFORMATION_CLASS.
const tokenIsAppContainer = 29

// token reads in whose name a process acts. A part that is not told is left out: only the
// user is needed.
func token(process windows.Handle) (t winscan.Token, err error) {
	var h windows.Token
	if err := windows.OpenProcessToken(process, windows.TOKEN_QUERY, &h); err != nil {
		return t, fmt.Errorf("open token: %w", told(err))
	}
	defer h.Close()
	user, err := h.GetTokenUser()
	if err != nil {
		return t, fmt.Errorf("read token: %w", told(err))
	}
	t.UserSID = user.User.Sid.String()
	if b, ok := information(h, windows.TokenIntegrityLevel); ok && len(b) >= int(unsafe.Sizeof(windows.Tokenmandatorylabel{})) {
		if sid := (*windows.Tokenmandatorylabel)(unsafe.Pointer(&b[0])).Label.Sid; sid != nil && sid.SubAuthorityCount() > 0 {
			t.Integrity, t.Labelled = sid.SubAuthority(uint32(sid.SubAuthorityCount())-1), true
		}
	}
	t.Elevation, _ = number(h, windows.TokenElevationType)
	elevated, _ := number(h, windows.TokenElevation)
	container, _ := number(h, tokenIsAppContainer)
	t.Elevated, t.AppContainer = elevated != 0, container != 0
	if b, ok := information(h, windows.TokenStatistics); ok && len(b) >= 16 {
		t.LogonID = *(*uint64)(unsafe.Pointer(&b[8])) // TOKEN_STATISTICS.AuthenticationId
	}
	return t, nil
}

// information asks for a class of TOKEN_INFORMATION_CLASS. The bytes begin where a pointer
// may stand.
func information(h windows.Token, class uint32) ([]byte, bool) {
	words := make([]uint64, 32)
	b := unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), 8*len(words))
	var n uint32
	if err := windows.GetTokenInformation(h, class, &b[0], uint32(len(b)), &n); err != nil || int(n) > len(b) {
		return nil, false
	}
	return b[:n], true
}

func number(h windows.Token, class uint32) (uint32, bool) {
	b, ok := information(h, class)
	if !ok || len(b) < 4 {
		return 0, false
	}
	return *(*uint32)(unsafe.Pointer(&b[0])), true
}
