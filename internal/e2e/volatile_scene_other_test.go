//go:build !linux

package e2e

// sceneMain has no scene to play here.
func sceneMain() {}
