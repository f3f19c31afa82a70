//go:build !linux

package sqldbtest

import (
	"errors"
	"os"
)

func server() (string, error) {
	if u := os.Getenv("HOZEN_TEST_POSTGRES"); u != "" {
		return u, nil
	}
	return "", errors.New("HOZEN_TEST_POSTGRES is not set")
}
