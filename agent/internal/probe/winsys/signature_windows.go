package winsys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The states of a signature.
const (
	SignatureValid   = "valid"   // in the file itself
	SignatureCatalog = "catalog" // in a catalogue of the system, as most files of Windows
	SignatureNone    = "none"
	SignatureInvalid = "invalid"
	SignatureUnknown = "unknown"
)

// catalogInfo is WINTRUST_CATALOG_INFO.
type catalogInfo struct {
	size       uint32
	version    uint32
	catalog    *uint16
	tag        *uint16
	path       *uint16
	file       windows.Handle
	hash       *byte
	hashSize   uint32
	ctlContext uintptr
	admin      uintptr
}

// Signature asks this PC whether it trusts who signed a file. It asks the network for nothing:
// neither for revocations nor for missing certificates. code is the system's reason for what is
// not valid, hexadecimal.
func Signature(path string, f *File) (state, code string) {
	name, err := windows.UTF16PtrFromString(long(path))
	if err != nil {
		return SignatureUnknown, ""
	}
	info := windows.WinTrustFileInfo{FilePath: name, File: f.h}
	info.Size = uint32(unsafe.Sizeof(info))
	e := verify(windows.WTD_CHOICE_FILE, unsafe.Pointer(&info))
	if e == 0 {
		return SignatureValid, ""
	}
	code = fmt.Sprintf("%08x", e)
	switch windows.Handle(e) {
	case windows.TRUST_E_NOSIGNATURE, windows.TRUST_E_SUBJECT_FORM_UNKNOWN:
	case windows.TRUST_E_PROVIDER_UNKNOWN, windows.TRUST_E_ACTION_UNKNOWN, windows.TRUST_E_SYSTEM_ERROR:
		return SignatureUnknown, code
	default:
		return SignatureInvalid, code
	}
	found, e, err := byCatalog(name, f.h)
	switch {
	case err != nil:
		return SignatureUnknown, code
	case !found:
		return SignatureNone, code
	case e == 0:
		return SignatureCatalog, ""
	}
	return SignatureInvalid, fmt.Sprintf("%08x", e)
}

// verify calls WinVerifyTrust and returns its HRESULT.
func verify(choice uint32, what unsafe.Pointer) uint32 {
	data := windows.WinTrustData{
		UIChoice: windows.WTD_UI_NONE, RevocationChecks: windows.WTD_REVOKE_NONE, UnionChoice: choice, FileOrCatalogOrBlobOrSgnrOrCert: what,
		StateAction: windows.WTD_STATEACTION_VERIFY, ProvFlags: windows.WTD_CACHE_ONLY_URL_RETRIEVAL | windows.WTD_REVOCATION_CHECK_NONE,
	}
	data.Size = uint32(unsafe.Sizeof(data))
	action := windows.WINTRUST_ACTION_GENERIC_VERIFY_V2
	err := windows.WinVerifyTrustEx(windows.InvalidHWND, &action, &data)
	data.StateAction = windows.WTD_STATEACTION_CLOSE
	_ = windows.WinVerifyTrustEx(windows.InvalidHWND, &action, &data) // gives back what the first call took
	if err == nil {
		return 0
	}
	if e, ok := err.(windows.Errno); ok {
		return uint32(e)
	}
	return uint32(windows.TRUST_E_SYSTEM_ERROR)
}

// catalogPath is CATALOG_INFO.
type catalogPath struct {
	size uint32
	path [windows.MAX_PATH]uint16
}

// byCatalog looks for a catalogue of the system that has the digest of an open file, and
// verifies it.
func byCatalog(path *uint16, file windows.Handle) (found bool, code uint32, err error) {
	calls := make(map[string]*windows.LazyProc)
	for _, name := range []string{"CryptCATAdminAcquireContext2", "CryptCATAdminReleaseContext", "CryptCATAdminCalcHashFromFileHandle2", "CryptCATAdminEnumCatalogFromHash", "CryptCATCatalogInfoFromContext", "CryptCATAdminReleaseCatalogContext"} {
		if calls[name], err = find(wintrust, name); err != nil {
			return false, 0, err
		}
	}
	algorithm, err := windows.UTF16PtrFromString("SHA256")
	if err != nil {
		return false, 0, err
	}
	var admin uintptr
	if r, _, e := calls["CryptCATAdminAcquireContext2"].Call(uintptr(unsafe.Pointer(&admin)), 0, uintptr(unsafe.Pointer(algorithm)), 0, 0); r == 0 {
		return false, 0, fmt.Errorf("CryptCATAdminAcquireContext2: %w", told(e))
	}
	defer calls["CryptCATAdminReleaseContext"].Call(admin, 0)
	var hash [64]byte
	n := uint32(len(hash))
	if r, _, e := calls["CryptCATAdminCalcHashFromFileHandle2"].Call(admin, uintptr(file), uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&hash[0])), 0); r == 0 || n > uint32(len(hash)) {
		return false, 0, fmt.Errorf("CryptCATAdminCalcHashFromFileHandle2: %w", told(e))
	}
	catalog, _, _ := calls["CryptCATAdminEnumCatalogFromHash"].Call(admin, uintptr(unsafe.Pointer(&hash[0])), uintptr(n), 0, 0)
	if catalog == 0 {
		return false, 0, nil
	}
	defer calls["CryptCATAdminReleaseCatalogContext"].Call(admin, catalog, 0)
	var where catalogPath
	where.size = uint32(unsafe.Sizeof(where))
	if r, _, e := calls["CryptCATCatalogInfoFromContext"].Call(catalog, uintptr(unsafe.Pointer(&where)), 0); r == 0 {
		return false, 0, fmt.Errorf("CryptCATCatalogInfoFromContext: %w", told(e))
	}
	tag, err := windows.UTF16PtrFromString(fmt.Sprintf("%X", hash[:n]))
	if err != nil {
		return false, 0, err
	}
	info := catalogInfo{catalog: &where.path[0], tag: tag, path: path, file: file, hash: &hash[0], hashSize: n, admin: admin}
	info.size = uint32(unsafe.Sizeof(info))
	return true, verify(windows.WTD_CHOICE_CATALOG, unsafe.Pointer(&info)), nil
}
