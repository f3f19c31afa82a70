//go:build !linux && !windows

package main

import (
	"context"
	"log/slog"
	"time"

	"hozen/agent/internal/signin"
)

// people are whoever is signed in to the PC; on this system nobody can be told.
type people struct{}

func newPeople(*slog.Logger) people { return people{} }

func (people) announce(context.Context, string, bool)      {}
func (people) greet(context.Context, string, bool) (n int) { return 0 }
func (people) know(time.Time)                              {}
func (people) say(context.Context, string)                 {}
func noticeBoard(string, string) signin.Config             { return signin.Config{} }
