package isolate_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hozen/agent/internal/isolate"
	"hozen/agent/internal/isolate/isolatetest"
	"hozen/internal/releasecode"
)

const rightNumber, wrongNumber = "000000000001", "000000000002"

// codeOf is the code of a number under a key that is the same in every test.
func codeOf(number string) releasecode.Code {
	return releasecode.New(releasecode.Key(bytes.Repeat([]byte{7}, releasecode.KeyLen)), number)
}

func stored(t interface{ Fatal(...any) }, number string) *isolate.ReleaseCode {
	salt := bytes.Repeat([]byte{1}, releasecode.SaltLen)
	h, err := releasecode.Hash(codeOf(number), salt, 1)
	if err != nil {
		t.Fatal(err)
	}
	return &isolate.ReleaseCode{Number: number, Hash: h, Salt: salt, Iterations: 1}
}

func coded(t *testing.T, id string) isolate.Request {
	o := order(id)
	o.Code = stored(t, rightNumber)
	return o
}

func TestReleaseByCode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		right := codeOf(rightNumber).String()
		if _, err := r.ReleaseByCode(t.Context(), right, "1000", "suzuki"); !errors.Is(err, isolate.ErrNoCode) {
			t.Errorf("nothing is isolated: %v", err)
		}
		st, err := r.Isolate(t.Context(), coded(t, "cmd_1"))
		if err != nil || st.CodeNumber != rightNumber {
			t.Fatalf("%+v, %v", st, err)
		}
		r.restart(t)
		st, err = r.ReleaseByCode(t.Context(), right, "1000", "suzuki")
		if err != nil || st.Ended == nil || st.Ended.By != "suzuki" {
			t.Errorf("%+v, %v", st, err)
		}
		want(t, st, isolate.Released, isolate.Released, "")
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedReleasedByCode || got[0].By != "suzuki" || got[0].CommandID != "cmd_1" {
			t.Errorf("told %+v", got)
		}
		// The code is used up, and the order with it, across restarts too.
		for range 2 {
			if _, err := r.ReleaseByCode(t.Context(), right, "1000", "suzuki"); !errors.Is(err, isolate.ErrNoCode) {
				t.Errorf("again: %v", err)
			}
			if st, err := r.Isolate(t.Context(), coded(t, "cmd_1")); !errors.Is(err, isolate.ErrEnded) || st.Observed != isolate.Released {
				t.Errorf("%+v, %v", st, err)
			}
			r.restart(t)
			reconcile(t, r, isolate.Released)
		}
		// A new order isolates, and one that replaces it takes its code away.
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_2")); err != nil {
			t.Error(err)
		}
		if st, err := r.Isolate(t.Context(), order("cmd_3")); err != nil || st.CodeNumber != "" {
			t.Errorf("%+v, %v", st, err)
		}
		if st, err := r.ReleaseByCode(t.Context(), right, "1000", "suzuki"); !errors.Is(err, isolate.ErrNoCode) || st.Observed != isolate.Isolated {
			t.Errorf("%+v, %v", st, err)
		}
		next := order("cmd_4")
		next.Code = stored(t, wrongNumber)
		if _, err := r.Isolate(t.Context(), next); err != nil {
			t.Error(err)
		}
		if st, err := r.ReleaseByCode(t.Context(), right, "1000", "suzuki"); !errors.Is(err, isolate.ErrWrongCode) || st.Observed != isolate.Isolated {
			t.Errorf("a code of another order: %+v, %v", st, err)
		}
	})
}

func TestWrongCodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		right, wrong := codeOf(rightNumber).String(), codeOf(wrongNumber).String()
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
			t.Fatal(err)
		}
		slip := []byte(right)
		slip[8] = '0' + (slip[8]-'0'+1)%10
		var group *releasecode.GroupError
		for range 100 {
			if _, err := r.ReleaseByCode(t.Context(), string(slip), "1000", "sato"); !errors.As(err, &group) || group.Group != 2 {
				t.Fatalf("a slip: %v", err)
			}
		}
		wantTold(t, told())
		for i := range 5 {
			if st, err := r.ReleaseByCode(t.Context(), wrong, "1000", "sato"); !errors.Is(err, isolate.ErrWrongCode) || st.Observed != isolate.Isolated {
				t.Errorf("try %d: %+v, %v", i, st, err)
			}
			r.restart(t) // gives no try back
		}
		if got := told(); len(got) != 5 || got[0].Kind != isolate.HappenedCodeRefused || got[0].By != "sato" {
			t.Errorf("told %+v", got)
		}
		tooMany := func(wait time.Duration) {
			t.Helper()
			var e *isolate.TooManyTries
			st, err := r.ReleaseByCode(t.Context(), right, "1000", "sato")
			if !errors.As(err, &e) || e.RetryAfter != wait {
				t.Errorf("got %v, want to wait %v", err, wait)
			}
			want(t, st, isolate.Isolated, isolate.Isolated, "")
		}
		tooMany(15 * time.Minute)
		r.clock.Set(24 * time.Hour) // does not help
		tooMany(15 * time.Minute)
		for _, wait := range []time.Duration{15 * time.Minute, 30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
			time.Sleep(wait - time.Second)
			tooMany(time.Second)
			time.Sleep(time.Second)
			if _, err := r.ReleaseByCode(t.Context(), wrong, "1000", "sato"); !errors.Is(err, isolate.ErrWrongCode) {
				t.Errorf("after %v: %v", wait, err)
			}
		}
		time.Sleep(23 * time.Hour)
		r.reboot(t) // nor does this
		reconcile(t, r, isolate.Isolated)
		tooMany(24 * time.Hour)
		// Said again, the order gives no try back.
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
			t.Error(err)
		}
		tooMany(24 * time.Hour)
		time.Sleep(24 * time.Hour)
		if st, err := r.ReleaseByCode(t.Context(), right, "1000", "sato"); err != nil || st.Observed != isolate.Released {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// Whoever tries codes at the endpoint, from one account or from more than are
// remembered, keeps nobody else from giving the right one.
func TestWrongCodesOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		right, wrong := codeOf(rightNumber).String(), codeOf(wrongNumber).String()
		if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
			t.Fatal(err)
		}
		var tooMany *isolate.TooManyTries
		for range 24 * 60 {
			for _, account := range []string{"1000", "1001"} {
				if _, err := r.ReleaseByCode(t.Context(), wrong, account, "malware"); !errors.Is(err, isolate.ErrWrongCode) && !errors.As(err, &tooMany) {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Minute)
		}
		for range 4 { // a person errs too
			if _, err := r.ReleaseByCode(t.Context(), wrong, "0", "root"); !errors.Is(err, isolate.ErrWrongCode) {
				t.Errorf("another account: %v", err)
			}
		}
		r.restart(t) // gives no try back
		for i := range 200 {
			if _, err := r.ReleaseByCode(t.Context(), wrong, fmt.Sprint(100000+i), "malware"); !errors.Is(err, isolate.ErrWrongCode) {
				t.Fatalf("account %d: %v", i, err)
			}
			if i == 40 {
				if _, err := r.ReleaseByCode(t.Context(), wrong, "0", "root"); !errors.Is(err, isolate.ErrWrongCode) {
					t.Errorf("the fifth: %v", err)
				}
				if _, err := r.ReleaseByCode(t.Context(), right, "0", "root"); !errors.As(err, &tooMany) {
					t.Errorf("the sixth: %v", err)
				}
			}
		}
		rec, err := r.store.Load()
		if err != nil || len(rec.Tries) != 64 {
			t.Errorf("%d accounts are remembered, %v", len(rec.Tries), err)
		}
		if st, err := r.ReleaseByCode(t.Context(), right, "1002", "suzuki"); err != nil || st.Observed != isolate.Released {
			t.Errorf("%+v, %v", st, err)
		}
	})
}

// A try that cannot be counted is not made, and a release that cannot be written is none.
func TestCodeOnAFullDisk(t *testing.T) {
	r := newRig(t)
	right, wrong := codeOf(rightNumber).String(), codeOf(wrongNumber).String()
	if _, err := r.Isolate(t.Context(), coded(t, "cmd_1")); err != nil {
		t.Fatal(err)
	}
	var faults []isolatetest.Fault
	r.store.Next = func() isolatetest.Fault {
		if len(faults) == 0 {
			return isolatetest.FailBefore
		}
		f := faults[0]
		faults = faults[1:]
		return f
	}
	for _, code := range []string{right, wrong} {
		for range 10 {
			st, err := r.ReleaseByCode(t.Context(), code, "1000", "")
			if err == nil || errors.Is(err, isolate.ErrWrongCode) {
				t.Fatalf("got %v", err)
			}
			want(t, st, isolate.Isolated, isolate.Isolated, "")
		}
	}
	for range 10 {
		faults = []isolatetest.Fault{isolatetest.None}
		st, err := r.ReleaseByCode(t.Context(), right, "1000", "")
		if err == nil || errors.Is(err, isolate.ErrWrongCode) {
			t.Fatalf("got %v", err)
		}
		want(t, st, isolate.Isolated, isolate.Isolated, "")
	}
	r.store.Next = nil
	if st, err := r.ReleaseByCode(t.Context(), right, "1000", ""); err != nil || st.Observed != isolate.Released {
		t.Errorf("%+v, %v", st, err)
	}
}

func TestReleaseForUninstall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, told := newTold(t)
		if st, err := r.ReleaseForUninstall(t.Context(), "root"); err != nil || st.Ended != nil {
			t.Errorf("%+v, %v", st, err)
		}
		wantTold(t, told())
		if _, err := r.Isolate(t.Context(), order("cmd_1")); err != nil {
			t.Fatal(err)
		}
		st, err := r.ReleaseForUninstall(t.Context(), "root")
		if err != nil {
			t.Error(err)
		}
		want(t, st, isolate.Released, isolate.Released, "")
		if got := told(); len(got) != 1 || got[0].Kind != isolate.HappenedReleasedByUninstall || got[0].By != "root" {
			t.Errorf("told %+v", got)
		}
	})
}
