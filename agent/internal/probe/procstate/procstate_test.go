package procstate_test

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"slices"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/procstate"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact/record"
)

func fresh() probe.Probe { return procstate.New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("pid", "start_ticks")})
}

// TestThisProcess: it listens, and it has more threads than one, as every Go program.
func TestThisProcess(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var lines probetest.Lines
	err = fresh().Acquire(t.Context(), &lines)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	for _, b := range lines.All {
		var p record.ProcState
		if err := json.Unmarshal(b, &p); err != nil {
			t.Fatal(err)
		}
		if p.PID != os.Getpid() {
			continue
		}
		want := record.Listen{Proto: "tcp", Addr: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}
		if !slices.Contains(p.Listens, want) || len(p.Threads) == 0 || p.CapEff == "" || p.SUID != int64(os.Getuid()) {
			t.Errorf("%s", b)
		}
		return
	}
	t.Errorf("this process is missing: %v", err)
}

const status = "Name:\tx\nUmask:\t0022\nUid:\t1000\t1001\t1002\t1003\nGid:\t7\t7\t8\t9\nGroups:\t4 24 27 \nVmPeak:\t   1234 kB\nCapInh:\t0000000000000000\nCapEff:\t000001ffffffffff\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t3\n"

func TestParse(t *testing.T) {
	var p record.ProcState
	procstate.Parse(&p, []byte(status), record.Text)
	if p.SUID != 1002 || p.FSUID != 1003 || p.SGID != 8 || p.FSGID != 9 || p.Umask != "0022" || p.VMPeakKB != 1234 ||
		p.CapEff != "000001ffffffffff" || !p.NoNewPrivs || p.Seccomp != "filter" || p.SeccompFilters != 3 || !slices.Equal(p.Groups, []int64{4, 24, 27}) {
		t.Errorf("%s", p.AppendJSON(nil))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(status))
	f.Add([]byte("Groups:\t 9999999999999999999 -1\nUid:"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p record.ProcState
		procstate.Parse(&p, b, record.Text)
		if !json.Valid(p.AppendJSON(nil)) {
			t.Fatal("no JSON")
		}
	})
}
