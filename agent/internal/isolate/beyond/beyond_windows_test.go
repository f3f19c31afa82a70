package beyond

import (
	"slices"
	"testing"

	"golang.org/x/sys/windows/registry"
)

// What accounts have set is found, wherever it is read from.
func TestLookFindsProxiesAndDistributions(t *testing.T) {
	k, _, err := registry.CreateKey(registry.CURRENT_USER, settings, registry.SET_VALUE|registry.QUERY_VALUE)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	old, _, oldErr := k.GetStringValue("AutoConfigURL")
	if err := k.SetStringValue("AutoConfigURL", "http://proxy.example/hozen.pac"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if oldErr == nil {
			_ = k.SetStringValue("AutoConfigURL", old)
		} else {
			_ = k.DeleteValue("AutoConfigURL")
		}
	}()
	f := Look()
	t.Logf("%+v\n%q", f, f.Limits())
	if !slices.Contains(f.Proxies, "http://proxy.example/hozen.pac") {
		t.Errorf("%q", f.Proxies)
	}
}

// The setting that has this PC pass on packets of others is found.
func TestLookFindsRouting(t *testing.T) {
	k, _, err := registry.CreateKey(registry.LOCAL_MACHINE, parameters, registry.SET_VALUE|registry.QUERY_VALUE)
	if err != nil {
		t.Skip("needs an administrator")
	}
	defer k.Close()
	old, _, oldErr := k.GetIntegerValue(routing)
	if err := k.SetDWordValue(routing, 1); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if oldErr == nil {
			_ = k.SetDWordValue(routing, uint32(old))
		} else {
			_ = k.DeleteValue(routing)
		}
	}()
	if f := Look(); !slices.Contains(f.Forwarding, routing) {
		t.Errorf("%q", f.Forwarding)
	}
}
