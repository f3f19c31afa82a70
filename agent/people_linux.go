package main

import (
	"context"
	"log/slog"
	"time"

	"hozen/agent/internal/signin"
)

// people are whoever is signed in to the PC. Who signs in while something stands reads it in
// the system's own files, see noticeBoard.
type people struct{ log *slog.Logger }

func newPeople(log *slog.Logger) people { return people{log} }

// announce tells everybody what stands from now on; softly means without a bell.
func (p people) announce(ctx context.Context, text string, softly bool) {
	wallTerminals(ctx, text, softly, p.log)
}

// greet tells nobody: the system does.
func (people) greet(context.Context, string, bool) (n int) { return 0 }

func (people) know(time.Time) {}

// say tells everybody something of this moment.
func (p people) say(ctx context.Context, text string) { tellTerminals(ctx, text, p.log) }

// noticeBoard is where those who sign in are told: in the files of the system below root,
// which is empty where they are not.
func noticeBoard(root, _ string) signin.Config { return signin.Config{Root: root} }
