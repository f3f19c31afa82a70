package winsys

import "testing"

// TestStuckHandlesCostNoNamesForEver: handles that never answer are not asked again, and the
// next reading asks about others.
func TestStuckHandlesCostNoNamesForEver(t *testing.T) {
	var w waits
	stuck := func(object uint64) bool {
		ok := w.may(object)
		if ok {
			w.add(object)
		}
		return ok
	}
	asked := 0
	for object := uint64(1); object <= 20; object++ {
		if stuck(object) {
			asked++
		}
	}
	if asked != scanWaits || w.may(99) {
		t.Errorf("one reading left %d threads behind", asked)
	}
	w.begin()
	if w.may(1) || !w.may(99) || !w.may(0) {
		t.Error("the next reading asks again what does not answer, or nothing else")
	}
	for range 100 {
		w.begin()
		stuck(0) // an object of unknown address
	}
	if w.all != mostWaits || w.may(99) {
		t.Errorf("%d threads wait", w.all)
	}
	w.answered(1)
	for range mostWaits - scanWaits {
		w.answered(0)
	}
	w.begin()
	if !w.may(1) || !w.may(99) || w.may(2) || w.all != scanWaits-1 || len(w.objects) != scanWaits-1 {
		t.Errorf("after answers: %+v", w.objects)
	}
}
