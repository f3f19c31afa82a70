package capture

import (
	"strings"
	"testing"

	"hozen/internal/bench"
)

func TestRead(t *testing.T) {
	in := `{"name":"a","value":2.5,"unit":"ratio","bar":"<=2"}
{"name":"b","value":5000,"unit":"rows","bar":"=5000"}
{"name":"c","value":1,"unit":"ms","bar":""}
`
	var got []bench.Figure
	if err := read(strings.NewReader(in), func(f bench.Figure) { got = append(got, f) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 || got[0].Met() || !got[1].Met() || !got[2].Met() || got[1].Bar.String() != "=5000" {
		t.Errorf("%+v", got)
	}
	for _, bad := range []string{"no figure\n", `{"name":"a","bar":"~2"}` + "\n", `{"name":"a","bar":"<=x"}` + "\n"} {
		if err := read(strings.NewReader(bad), func(bench.Figure) {}); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
