package folder

import "testing"

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{Closed, "O:BAD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", true},
		{Closed, "O:BAD:P(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", true},
		{Closed, "O:SYG:SYD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", false},
		{Closed, "O:BAD:AI(A;OICI;FA;;;SY)(A;OICI;FA;;;BA)", false},
		{Closed, Readable, false},
		{Closed, meanwhile, false},
		{Closed, "O:BAD:NO_ACCESS_CONTROL", false},
		{Closed, "", false},
	} {
		if got := same(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
