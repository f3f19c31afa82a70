//go:build !linux

package facts

import (
	"io/fs"

	"hozen/internal/artifact/record"
)

const noatime = 0

func own(*record.FileInfo, fs.FileInfo) {}
