package main

import (
	"slices"
	"testing"

	"hozen/collector/internal/config"
)

func TestConsoleOnLoopbackKnowsItsNames(t *testing.T) {
	cfg := config.Default()
	cfg.Addresses = []string{"collector.example:7443", "192.0.2.1:7443"}
	cfg.Listen.ConsoleNames = []string{"hozen.example"}
	hosts := consoleHosts(cfg)
	for _, h := range []string{"localhost", "127.0.0.1", "::1", "collector.example", "192.0.2.1", "hozen.example"} {
		if !slices.Contains(hosts, h) {
			t.Errorf("%q is not among %q", h, hosts)
		}
	}
	cfg.Listen.Console = "0.0.0.0:7480"
	if hosts := consoleHosts(cfg); hosts != nil {
		t.Errorf("a console for the network answers to %q alone", hosts)
	}
}
