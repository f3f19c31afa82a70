//go:build !windows

package scan

type keep struct{}

func newKeep() keep { return keep{} }
