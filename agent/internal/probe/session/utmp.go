package session

import (
	"runtime"
	"slices"

	"hozen/internal/artifact/record"
)

// UtmpSize is the size of a record of utmp(5) and its relatives on this machine: glibc
// keeps 32-bit times where 32-bit programs of the same machine share the file.
func UtmpSize() int {
	if slices.Contains([]string{"amd64", "386", "arm", "ppc64", "ppc64le", "s390x", "riscv64"}, runtime.GOARCH) {
		return utmpSize32
	}
	return utmpSize64
}

// ParseUtmp reads records of one size; those that were never used are left out. What is
// left behind the last whole one comes with an error.
func ParseUtmp(b []byte, size int) ([]record.Session, error) { return parseUtmp(b, size) }
