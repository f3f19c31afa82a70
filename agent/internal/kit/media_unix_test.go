//go:build !windows

package kit_test

import "syscall"

const tooLarge = syscall.EFBIG
