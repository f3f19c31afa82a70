//go:build !linux

package sqldbtest

import (
	"errors"
	"os"
)

func server() (string, error) {
	if u := os.Getenv(serverVar); u != "" {
		return u, nil
	}
	return "", errors.New(serverVar + " is not set")
}

const memoryDir = ""

func roomInMemory() bool { return false }
