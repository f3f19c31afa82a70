//go:build !windows

package osservice

import (
	"context"
	"errors"

	"github.com/kardianos/service"
)

func stop(s service.Service) error { return s.Stop() }

// Rehearse is for Windows.
func Rehearse(context.Context) (Rehearsal, error) { return Rehearsal{}, errors.ErrUnsupported }

// Look finds nothing: traits are Windows'.
func Look() []Trait { return nil }

// Mend does nothing.
func Mend() []Trait { return nil }
