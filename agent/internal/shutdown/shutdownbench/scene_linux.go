package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// The scene: what a PC holds on which somebody works.
const (
	sceneProcs    = 300
	sceneSockets  = 500 // TCP
	scenePrograms = 40  // different executables, as their digests are evidence
	programSize   = 500_000

	holderSockets = 5 // of a process that has sockets: one listening, two connections with both ends
)

// sleeper is the program of all processes; copies with different ends run as well.
const sleeper = "/bin/sleep"

// buildScene starts the processes. They end with this one.
func buildScene(dir string) error {
	body, err := os.ReadFile(sleeper)
	if err != nil {
		return fmt.Errorf("read a program: %w", err)
	}
	pad := make([]byte, max(0, programSize-len(body)))
	rnd := rand.NewChaCha8([32]byte{1})
	programs := make([]string, scenePrograms)
	for i := range programs {
		programs[i] = filepath.Join(dir, fmt.Sprintf("program-%02d", i))
		rnd.Read(pad)
		if err := os.WriteFile(programs[i], append(body[:len(body):len(body)], pad...), 0o755); err != nil {
			return fmt.Errorf("write a program: %w", err)
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer null.Close()
	for i := range sceneProcs {
		sockets := 0
		if i < sceneSockets/holderSockets {
			sockets = holderSockets
		}
		if _, err := startOne(programs[i%len(programs)], int(null.Fd()), sockets); err != nil {
			return fmt.Errorf("start process %d: %w", i, err)
		}
	}
	return nil
}

// startOne starts one process of the scene and returns its PID.
func startOne(program string, null, sockets int) (int, error) {
	files := []uintptr{uintptr(null), uintptr(null), uintptr(null)}
	if sockets > 0 {
		fds, err := tcpSockets((sockets - 1) / 2)
		defer func() {
			for _, fd := range fds {
				unix.Close(fd)
			}
		}()
		if err != nil {
			return 0, fmt.Errorf("make sockets: %w", err)
		}
		for _, fd := range fds {
			files = append(files, uintptr(fd))
		}
	}
	return syscall.ForkExec(program, []string{program, "infinity"}, &syscall.ProcAttr{
		Dir: "/", Env: os.Environ(), Files: files, Sys: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
}

// tcpSockets makes a listening socket and connections to it, with both ends.
func tcpSockets(connections int) (fds []int, err error) {
	socket := func() (int, error) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			fds = append(fds, fd)
		}
		return fd, err
	}
	listening, err := socket()
	if err != nil {
		return fds, err
	}
	if err := unix.Bind(listening, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return fds, err
	}
	if err := unix.Listen(listening, connections); err != nil {
		return fds, err
	}
	addr, err := unix.Getsockname(listening)
	if err != nil {
		return fds, err
	}
	for range connections {
		c, err := socket()
		if err != nil {
			return fds, err
		}
		if err := unix.Connect(c, addr); err != nil {
			return fds, err
		}
		a, _, err := unix.Accept4(listening, unix.SOCK_CLOEXEC)
		if err != nil {
			return fds, err
		}
		fds = append(fds, a)
	}
	return fds, nil
}
