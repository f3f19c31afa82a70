package adapters

import "testing"

// Whatever this machine has, every adapter has a name, and one that is up an address.
func TestList(t *testing.T) {
	as, err := List()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range as {
		t.Logf("%+v", a)
		if a.Name == "" {
			t.Errorf("an adapter without a name: %+v", a)
		}
		for _, addr := range a.Addresses {
			if !addr.IsValid() {
				t.Errorf("%+v", a)
			}
		}
	}
}
