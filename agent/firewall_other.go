//go:build !linux && !windows

package main

import "hozen/agent/internal/isolate"

func firewall() isolate.Firewall { return isolate.Unsupported{} }
