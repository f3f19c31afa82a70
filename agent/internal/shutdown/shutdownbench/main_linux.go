package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

func main() {
	runtime.LockOSThread() // what is started dies with the thread that started it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "shutdownbench:", err)
		os.Exit(1)
	}
}

// inNamespaces, as the second word of a command line, says that the namespaces are there.
const inNamespaces = "inside"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("want plan, scene or recorder")
	}
	verb, args := args[0], args[1:]
	inside := len(args) > 0 && args[0] == inNamespaces
	if inside {
		args = args[1:]
	}
	flags := flag.NewFlagSet("shutdownbench "+verb, flag.ContinueOnError)
	dir := flags.String("dir", "", "empty `folder` to work in")
	bus := flags.String("bus", "", "`address` of the message bus")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("-dir is missing")
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	switch verb {
	case "plan":
		if !inside {
			return isolated(append([]string{os.Args[0], verb, inNamespaces}, args...))
		}
		if err := enter(); err != nil {
			return err
		}
		if err := buildScene(*dir); err != nil {
			return fmt.Errorf("build scene: %w", err)
		}
		return plan(ctx, *dir, *bus, log)
	case "scene":
		if err := buildScene(*dir); err != nil {
			return fmt.Errorf("build scene: %w", err)
		}
		if err := say(struct{}{}); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, os.Stdin)
		return err
	case "recorder":
		return keepRecord(ctx, *dir, os.Stdin, log)
	}
	return fmt.Errorf("no verb %q", verb)
}

// say prints one JSON object.
func say(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }

// isolated runs this program again as the first process of fresh namespaces, so that
// every machine has the same processes and sockets in the scene. A bus is reached from
// there by the file of its socket.
func isolated(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := os.StartProcess(self, args, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys: &unix.SysProcAttr{Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: unix.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("start in namespaces (needs root): %w", err)
	}
	state, err := p.Wait()
	if err == nil && !state.Success() {
		err = fmt.Errorf("%s", state)
	}
	return err
}

// enter prepares the namespaces.
func enter() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	defer unix.Close(fd)
	req, err := unix.NewIfreq("lo")
	if err == nil {
		req.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
		err = unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, req)
	}
	if err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return nil
}
