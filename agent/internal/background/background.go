// Package background lets work that can wait give way to whoever uses the PC: a lower
// CPU priority, and the disk only when nobody else wants it. It knows nothing of what
// the work is.
package background

import "context"

type key struct{}

// Mark returns a context whose work gives way, see [Enter].
func Mark(ctx context.Context) context.Context { return context.WithValue(ctx, key{}, true) }

// Marked reports whether the work of ctx gives way.
func Marked(ctx context.Context) bool { return ctx.Value(key{}) != nil }

// Enter lowers the priority of the calling goroutine if ctx is marked, and returns what
// takes that back. The goroutine must call leave and then end: where the system does not
// let a program raise its priority again, the thread goes with it. Goroutines that it
// starts have the usual priority until they enter too.
func Enter(ctx context.Context) (leave func()) {
	if !Marked(ctx) {
		return func() {}
	}
	return enter()
}
