package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// sceneVar makes this test program play a part of the planted scene: "stage" sets it up
// in namespaces of its own and runs the agent there, the others are who it finds.
const sceneVar = "HOZEN_E2E_SCENE"

const (
	sceneSockets = 5000
	scenePreload = "/tmp/.hidden/libevil.so"
	sceneSecret  = "hunter2"
	sceneFile    = "pids.json"
)

// sceneMain plays a part and ends the program, if it was started for that.
func sceneMain() {
	part := os.Getenv(sceneVar)
	if part == "" {
		return
	}
	play := map[string]func() error{
		"stage": stage, "erased": erase, "raw": rawSockets, "sockets": manySockets, "executable": executableMemory, "hidden": func() error { return nil },
	}[part]
	err := errors.New("no such part")
	if play != nil {
		err = play()
	}
	if err != nil {
		fmt.Printf("%s: %v\n", part, err)
		os.Exit(1)
	}
	if part != "stage" {
		fmt.Println("ready")
		_, _ = io.Copy(io.Discard, os.Stdin)
	}
	os.Exit(0)
}

// stage is the first process of its namespaces: everyone else ends with it. Its arguments
// are the agent and a folder for the evidence and for the PIDs of who is in the scene.
func stage() error {
	agent, dir := os.Args[1], os.Args[2]
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	pids := map[string]int{}
	for name, begin := range map[string]func(dir string) (int, error){
		"deleted": startDeleted, "memfd": startMemFD, "posing": startPosing, "shell": startShell, "preload": startPreload,
		"erased": actor("erased"), "raw": actor("raw"), "sockets": actor("sockets"), "executable": actor("executable"), "hidden": actor("hidden"),
	} {
		pid, err := begin(dir)
		if err != nil {
			return fmt.Errorf("start %s: %w", name, err)
		}
		pids[name] = pid
	}
	if err := unix.Mount("none", fmt.Sprintf("/proc/%d", pids["hidden"]), "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("hide a process: %w", err)
	}
	b, err := json.Marshal(pids)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, sceneFile), b, 0o600); err != nil {
		return err
	}
	cmd := exec.Command(agent, "acquire", "--profile", "volatile", "--out", filepath.Join(dir, "evidence"), "--json")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	err = cmd.Run()
	if x, ok := errors.AsType[*exec.ExitError](err); ok && x.ExitCode() == acquirePartial {
		return nil
	}
	return err
}

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
}

// actor starts this program in a part and returns when it plays it.
func actor(part string) func(string) (int, error) {
	return func(string) (int, error) {
		cmd := exec.Command("/proc/self/exe", "--token=swordfish", "--"+part)
		cmd.Env = append(os.Environ(), sceneVar+"="+part)
		if _, err := cmd.StdinPipe(); err != nil { // stays open as long as the stage does
			return 0, err
		}
		out, err := cmd.StdoutPipe()
		if err != nil {
			return 0, err
		}
		if err := cmd.Start(); err != nil {
			return 0, err
		}
		var said [64]byte
		n, err := out.Read(said[:])
		if word := strings.TrimSpace(string(said[:n])); word != "ready" {
			return 0, fmt.Errorf("says %q, %v", word, err)
		}
		return cmd.Process.Pid, nil
	}
}

func onStage(cmd *exec.Cmd) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	return cmd.Process.Pid, nil
}

// program returns the bytes of a small program that does nothing for so many seconds.
func program() ([]byte, error) {
	path, err := exec.LookPath("sleep")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

func startDeleted(dir string) (int, error) {
	b, err := program()
	if err != nil {
		return 0, err
	}
	path := filepath.Join(dir, "dropper")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		return 0, err
	}
	pid, err := onStage(exec.Command(path, "1000"))
	return pid, errors.Join(err, os.Remove(path))
}

func startMemFD(string) (int, error) {
	b, err := program()
	if err != nil {
		return 0, err
	}
	fd, err := unix.MemfdCreate("implant", unix.MFD_CLOEXEC)
	if err != nil {
		return 0, err
	}
	f := os.NewFile(uintptr(fd), "implant")
	if _, err := f.Write(append(b, "memory alone"...)); err != nil {
		return 0, err
	}
	return onStage(exec.Command(fmt.Sprintf("/proc/self/fd/%d", fd), "1000"))
}

// startPosing starts a program that looks like a thread of the kernel in every list of
// processes.
func startPosing(string) (int, error) {
	path, err := exec.LookPath("sleep")
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(path, "1000")
	cmd.Args[0] = "[kworker/u4:2]"
	return onStage(cmd)
}

// startShell starts a shell whose input and output are a connection.
func startShell(string) (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return 0, err
	}
	if _, err := l.Accept(); err != nil {
		return 0, err
	}
	f, err := c.(*net.TCPConn).File()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("/bin/sh")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = f, f, f
	return onStage(cmd)
}

func startPreload(string) (int, error) {
	path, err := exec.LookPath("sleep")
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(path, "1000")
	cmd.Env = []string{"LD_PRELOAD=" + scenePreload, "DB_PASSWORD=" + sceneSecret, "HISTFILE=/dev/null"}
	return onStage(cmd)
}

// erase overwrites the arguments of this program where the kernel reads them.
func erase() error {
	for _, arg := range os.Args {
		clear(unsafe.Slice(unsafe.StringData(arg), len(arg)))
	}
	return nil
}

func rawSockets() error {
	if _, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0x0300); err != nil {
		return err
	}
	_, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP)
	return err
}

// manySockets makes TCP sockets: of every five, one listens and four are both ends of two
// connections to it.
func manySockets() error {
	most := unix.Rlimit{Cur: 2 * sceneSockets, Max: 2 * sceneSockets}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &most); err != nil {
		return err
	}
	for range sceneSockets / 5 {
		l, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(l, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		if err := unix.Listen(l, 8); err != nil {
			return err
		}
		addr, err := unix.Getsockname(l)
		if err != nil {
			return err
		}
		for range 2 {
			c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
			if err != nil {
				return err
			}
			if err := unix.Connect(c, addr); err != nil {
				return err
			}
			if _, _, err := unix.Accept(l); err != nil {
				return err
			}
		}
	}
	return nil
}

// executableMemory maps what injected code needs.
func executableMemory() error {
	_, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_PRIVATE|unix.MAP_ANON)
	return err
}
