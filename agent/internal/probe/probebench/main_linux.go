package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// figure is one line of the output; internal/bench/capture reads it.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	Bar   string  `json:"bar"` // "<=2", "=5000" or "" for none
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probebench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("probebench", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "fewer rounds")
	agent := flags.String("agent", "", "the agent's `program`, which takes a whole volatile profile; without it that is left out")
	scene := flags.String("scene", "", "used by the program itself: what to do inside its namespaces")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch *scene {
	case "1500":
		return inside(func() error { return countSockets(300, 600) })
	case "5000":
		return inside(func() error { return busyServer(*quick, *agent) })
	case "memory":
		return inside(func() error { return imageOfMemory(*quick) })
	case "":
	default:
		return fmt.Errorf("no scene %q", *scene)
	}
	for _, name := range []string{"memory", "1500", "5000"} {
		args := []string{os.Args[0], "-scene", name, "-agent", *agent}
		if *quick {
			args = append(args, "-quick")
		}
		if err := isolated(args); err != nil {
			return fmt.Errorf("scene %s: %w", name, err)
		}
	}
	return nil
}

// isolated runs this program again as the first process of fresh namespaces.
func isolated(args []string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	p, err := os.StartProcess(self, args, &os.ProcAttr{
		Env: os.Environ(), Files: []*os.File{nil, os.Stdout, os.Stderr},
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

// inside prepares the namespaces and does the work.
func inside(work func() error) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("set loopback up: %w", err)
	}
	return work()
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

func print(name string, value float64, unit, bar string) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(figure{name, value, unit, bar})
}
