//go:build !linux

package security

import (
	"context"
	"errors"

	"hozen/internal/artifact/record"
)

func audit(context.Context, *record.SecurityTool) error { return errors.ErrUnsupported }
