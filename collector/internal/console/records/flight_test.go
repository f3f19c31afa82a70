package records

import (
	"testing"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

func TestFlightReadsWhatTheAgentWrites(t *testing.T) {
	at := time.Date(2026, 11, 22, 1, 2, 3, 4, time.UTC)
	r := record.Flight{Event: record.FlightConnectionOpened, Seq: 7, Item: 2, Source: record.SourceDestroy, At: at, BootNS: 9, How: record.FlightExec, PID: 11, PPID: 10, StartTicks: 12,
		UID: 1000, EUID: 0, Comm: "curl", Exe: "/usr/bin/curl", ExeDeleted: true, ExeMemFD: true, Args: []string{"curl", ""}, Unread: []string{"exe"}, ExitCode: 3, ExitSignal: 9, TracerPID: 4,
		Family: "inet", Proto: "tcp", State: "ESTABLISHED", LocalAddr: "192.0.2.1", LocalPort: 1, RemoteAddr: "203.0.113.5", RemotePort: 443, Lost: 12, StepNS: 5, Name: "n", Detail: "d"}
	f := &File{}
	if err := f.add(artifact.KindFlight, r.AppendJSON(nil)); err != nil || len(f.Flights) != 1 || f.Rows() != 1 {
		t.Fatal(f, err)
	}
	g := f.Flights[0]
	if g.Event != r.Event || g.Seq != r.Seq || g.Item != r.Item || g.Source != r.Source || !g.At.Equal(at) || g.BootNS != r.BootNS || g.How != r.How || g.PID != r.PID || g.PPID != r.PPID ||
		g.StartTicks != r.StartTicks || g.UID != r.UID || g.EUID != r.EUID || g.Comm != r.Comm || g.Exe != r.Exe || !g.ExeDeleted || !g.ExeMemFD || len(g.Args) != 2 || len(g.Unread) != 1 ||
		g.ExitCode != r.ExitCode || g.ExitSignal != r.ExitSignal || g.TracerPID != r.TracerPID || g.Family != r.Family || g.Proto != r.Proto || g.State != r.State || g.LocalAddr != r.LocalAddr ||
		g.LocalPort != r.LocalPort || g.RemoteAddr != r.RemoteAddr || g.RemotePort != r.RemotePort || g.Lost != r.Lost || g.StepNS != r.StepNS || g.Name != r.Name || g.Detail != r.Detail {
		t.Errorf("%+v", g)
	}
	for _, bad := range []string{"", "[]", `{"seq":-1}`, `{"at":"yesterday"}`, `{"local_port":65536}`} {
		if f.add(artifact.KindFlight, []byte(bad)) == nil {
			t.Errorf("%s was read", bad)
		}
	}
	if err := f.add(artifact.KindFlight, []byte(`{"event":"x"}`)); err != nil || f.Flights[1].UID != record.Unknown || f.Flights[1].ExitCode != -1 {
		t.Errorf("%+v, %v", f.Flights, err)
	}
}
