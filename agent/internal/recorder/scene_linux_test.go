package recorder_test

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const sceneEnv = "HOZEN_TEST_SCENE"

// TestMain lets this binary be the scene's program too: what is counted by the test
// must not be done by the process that records.
func TestMain(m *testing.M) {
	switch os.Getenv(sceneEnv) {
	case "":
		os.Exit(m.Run())
	case "storm":
		storm()
	case "crowd":
		crowd()
	}
}

// stormed is what the storm says of itself.
type stormed struct {
	PID    int
	Starts int64
	NS     int64
}

// storm starts as many processes as it is told, at most so many per second, and counts
// those that ran.
func storm() {
	program, n, rate := os.Args[1], number(os.Args[2]), number(os.Args[3])
	var starts, next atomic.Int64
	begun := time.Now()
	var work sync.WaitGroup
	for range 4 {
		work.Go(func() {
			for {
				i := next.Add(1)
				if i > n {
					return
				}
				if rate > 0 {
					<-time.After(time.Until(begun.Add(time.Duration(i) * time.Second / time.Duration(rate))))
				}
				pid, err := syscall.ForkExec(program, []string{program, "arg" + strconv.FormatInt(i, 10)}, nil)
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					continue
				}
				var status syscall.WaitStatus
				for {
					if _, err = syscall.Wait4(pid, &status, 0, nil); err != syscall.EINTR {
						break
					}
				}
				if err == nil && status.Exited() {
					starts.Add(1)
				}
			}
		})
	}
	work.Wait()
	json.NewEncoder(os.Stdout).Encode(stormed{os.Getpid(), starts.Load(), int64(time.Since(begun))})
}

// crowd holds processes and connections of an ordinary PC until its input ends.
func crowd() {
	program, processes, connections := os.Args[1], number(os.Args[2]), number(os.Args[3])
	var started []int
	for range processes {
		pid, err := syscall.ForkExec(program, []string{program, "wait"}, nil)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			break
		}
		started = append(started, pid)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	var held []net.Conn
	for range connections / 2 { // both ends are here
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return
		}
		a, err := l.Accept()
		if err != nil {
			return
		}
		held = append(held, c, a)
	}
	fmt.Println("ready")
	bufio.NewReader(os.Stdin).ReadByte()
	for _, pid := range started {
		syscall.Kill(pid, syscall.SIGKILL)
		syscall.Wait4(pid, nil, 0, nil)
	}
	runtime.KeepAlive(held)
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// tiny writes a static program that ends at once, or one that waits for ever: the
// shortest life that a process can have, without a dynamic loader.
func tiny(t testing.TB, wait bool) string {
	t.Helper()
	var machine uint16
	var code []byte
	switch {
	case runtime.GOARCH == "amd64" && wait: // pause() again and again
		machine, code = 62, []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7}
	case runtime.GOARCH == "amd64": // exit(0)
		machine, code = 62, []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05}
	default:
		t.Skip("no tiny program for this processor")
	}
	const base, headers = 0x400000, 64 + 56
	le := binary.LittleEndian
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+headers)
	b = le.AppendUint64(b, 64)
	b = le.AppendUint64(b, 0)
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1)
	b = le.AppendUint32(b, 5)
	size := uint64(headers + len(code))
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	path := filepath.Join(t.TempDir(), "tiny")
	if err := os.WriteFile(path, append(b, code...), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// runStorm runs a storm to its end.
func runStorm(t testing.TB, program string, n, rate int) stormed {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", program, strconv.Itoa(n), strconv.Itoa(rate))
	cmd.Env, cmd.Stderr = append(os.Environ(), sceneEnv+"=storm"), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("storm: %v", err)
	}
	var s stormed
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("storm says %q: %v", out, err)
	}
	return s
}

// runCrowd brings a crowd up; end, or the end of the test, takes it down.
func runCrowd(t testing.TB, processes, connections int) (end func()) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", tiny(t, true), strconv.Itoa(processes), strconv.Itoa(connections))
	cmd.Env, cmd.Stderr = append(os.Environ(), sceneEnv+"=crowd"), os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	end = sync.OnceFunc(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(end)
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("crowd says %q, %v", line, err)
	}
	return end
}
