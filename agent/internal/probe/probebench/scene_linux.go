package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The scene: what a busy server holds.
const (
	sceneProcs   = 1000
	scenePlain   = 27 // descriptors of a process that are no sockets
	sceneSockets = 5  // sockets of a process: one listening, two connections with both ends
	sceneExes    = 50
	exeSize      = 2 << 20
)

// buildScene starts the processes; they end with this one, the first of its PID
// namespace.
func buildScene(dir string) error {
	exes := make([]string, sceneExes)
	rnd := rand.NewChaCha8([32]byte{1})
	for i := range exes {
		exes[i] = filepath.Join(dir, fmt.Sprintf("service-%02d", i))
		pad := make([]byte, exeSize)
		rnd.Read(pad)
		if err := os.WriteFile(exes[i], append(sleeper(), pad...), 0o755); err != nil {
			return fmt.Errorf("write executable: %w", err)
		}
	}
	env := make([]string, 20)
	for i := range env {
		env[i] = fmt.Sprintf("SERVICE_SETTING_%02d=/srv/data/setting/%d", i, i*i)
	}
	for i := range sceneProcs {
		if _, err := startOne(dir, exes[i%sceneExes], i, env); err != nil {
			return fmt.Errorf("start process %d: %w", i, err)
		}
	}
	return nil
}

// startOne starts process number i of the scene and returns its PID.
func startOne(dir, exe string, i int, env []string) (pid int, err error) {
	var fds []uintptr
	defer func() {
		for _, fd := range fds {
			unix.Close(int(fd))
		}
	}()
	add := func(list ...int) {
		for _, fd := range list {
			fds = append(fds, uintptr(fd))
		}
	}
	for k := range 11 { // files
		fd, err := unix.Open(filepath.Join(dir, fmt.Sprintf("data-%04d-%02d.db", i, k)), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return 0, err
		}
		add(fd)
	}
	for range 5 { // pipes, both ends
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return 0, err
		}
		add(p[0], p[1])
	}
	for len(fds) < scenePlain {
		fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
		if err != nil {
			return 0, err
		}
		add(fd)
	}
	socks, err := tcpSockets(1, (sceneSockets-1)/2)
	add(socks...)
	if err != nil {
		return 0, err
	}
	argv := []string{
		exe, fmt.Sprintf("--worker=%04d", i), fmt.Sprintf("--config=/srv/application/conf/worker-%04d.toml", i),
		"--log-level=info", "--listen=127.0.0.1:0",
	}
	return syscall.ForkExec(exe, argv, &syscall.ProcAttr{Dir: dir, Env: env, Files: fds})
}

// tcpSockets makes listening sockets and, on the first of them, connections with both
// ends.
func tcpSockets(listening, connections int) (fds []int, err error) {
	for range listening {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return fds, err
		}
		if err := unix.Listen(fd, 64); err != nil {
			return fds, err
		}
	}
	addr, err := unix.Getsockname(fds[0])
	if err != nil {
		return fds, err
	}
	for range connections {
		c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fds, err
		}
		fds = append(fds, c)
		if err := unix.Connect(c, addr); err != nil {
			return fds, err
		}
		a, _, err := unix.Accept4(fds[0], unix.SOCK_CLOEXEC)
		if err != nil {
			return fds, err
		}
		fds = append(fds, a)
	}
	return fds, nil
}

// sleeper is the smallest program that waits for ever: an ELF file (elf(5)) of one
// segment. A thousand real programs would cost gigabytes and change nothing of what
// is read.
func sleeper() []byte {
	var code []byte
	machine := uint16(62) // EM_X86_64
	switch runtime.GOARCH {
	case "amd64":
		code = []byte{0xb8, 34, 0, 0, 0, 0x0f, 0x05, 0xeb, 0xf7} // again: pause(); goto again
	case "arm64":
		machine = 183                // EM_AARCH64
		for _, op := range []uint32{ // again: ppoll(0, 0, 0, 0, 0); goto again
			0xd2800000, 0xd2800001, 0xd2800002, 0xd2800003, 0xd2800004, 0xd2800928, 0xd4000001, 0x17fffff9,
		} {
			code = binary.LittleEndian.AppendUint32(code, op)
		}
	default:
		panic("no sleeper for " + runtime.GOARCH)
	}
	const base, headers = 0x400000, 64 + 56
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01")
	b.Write(make([]byte, 9))
	le := func(v any) { binary.Write(&b, binary.LittleEndian, v) } // a Buffer does not fail
	le([]uint16{2, machine})
	le(uint32(1))
	le([]uint64{base + headers, 64, 0})
	le(uint32(0))
	le([]uint16{64, 56, 1, 0, 0, 0})
	le([]uint32{1, 5}) // PT_LOAD, readable and executable
	le([]uint64{0, base, base, uint64(headers + len(code)), uint64(headers + len(code)), 0x1000})
	b.Write(code)
	return b.Bytes()
}
