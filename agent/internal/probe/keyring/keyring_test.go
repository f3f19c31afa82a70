package keyring

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
)

func fresh() probe.Probe { return New("/") }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("not to be read here: ", err)
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("id"), MayBeEmpty: true})
}

const keys = `009a2028 I--Q---     1 perm 3f010000  1000  1000 user      krb_ccache:primary: 12
1806c4ba I--Q---     1 35m  3f010000  1000  1000 keyring   _pid: 2
cut
3d10be7c I------     1 perm 1f030000     0     0 asymmetri Build time: ` + "\xff" + `: X509.rsa 12 []
`

func TestParse(t *testing.T) {
	list, odd := parse([]byte(keys))
	if len(list) != 3 || odd != 1 {
		t.Fatalf("%+v, %d", list, odd)
	}
	if k := list[0]; k.ID != "009a2028" || k.Usage != 1 || k.Expires != "perm" || k.UID != 1000 || k.Type != "user" || k.Description != "krb_ccache:primary: 12" {
		t.Errorf("%+v", k)
	}
	if k := list[2]; k.Type != "asymmetri" || !strings.HasPrefix(k.Description, "Build time: \ufffd") || len(k.DescriptionRaw) == 0 {
		t.Errorf("%+v", k)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(keys))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, odd := parse(b)
		if len(list)+odd > strings.Count(string(b), "\n")+1 {
			t.Fatal("more keys than lines")
		}
		for i := range list {
			if !json.Valid(list[i].AppendJSON(nil)) {
				t.Fatal("no JSON")
			}
		}
	})
}
