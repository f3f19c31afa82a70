package isolatetest_test

import (
	"testing"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
)

// A fake that does not keep the contract would prove nothing of the Manager.
func TestFakeKeepsTheContract(t *testing.T) {
	isolatetest.Run(t, func(*testing.T) isolate.Firewall { return &isolatetest.Firewall{} })
}
