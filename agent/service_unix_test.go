//go:build !windows

package main

// asService does nothing: a service is tested as one on Windows.
func asService() {}
