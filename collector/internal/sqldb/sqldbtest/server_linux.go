package sqldbtest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// memoryDir is where Linux has a file system in memory (shm_overview(7)).
const memoryDir = "/dev/shm"

// enoughMemory is the room in bytes that makes it worth while: a container has 64 MiB
// by default, which a few tests at once may need.
const enoughMemory = 512 << 20

func roomInMemory() bool {
	var st unix.Statfs_t
	err := unix.Statfs(memoryDir, &st)
	return err == nil && st.Type == unix.TMPFS_MAGIC && st.Bavail*uint64(st.Bsize) >= enoughMemory
}

// server starts the one server of this test program on first use and returns the
// URL of its maintenance database.
var server = sync.OnceValues(func() (string, error) {
	if u := os.Getenv(serverVar); u != "" {
		return u, nil
	}
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin")
	if err != nil || len(bins) == 0 {
		return "", errors.New("neither " + serverVar + " nor /usr/lib/postgresql (apt-get install postgresql)")
	}
	slices.SortFunc(bins, func(a, b string) int { return version(b) - version(a) })
	return start(bins[0])
})

func version(bin string) int {
	n, err := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	if err != nil {
		return 0
	}
	return n
}

// script runs the server until its standard input ends, which happens however this
// test program ends, and then leaves nothing behind.
const script = `
set -eu
umask 077
cd "$2"
"$1/initdb" -N -A trust -U postgres -E UTF8 --locale=C -D "$2/data" >"$2/log" 2>&1
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
	-c max_connections=60 -c shared_buffers=32MB </dev/null >>"$2/log" 2>&1 &
server=$!
trap 'kill -INT $server 2>/dev/null; wait $server || true; cd /; rm -rf "$2"' EXIT
trap : INT TERM HUP
cat >/dev/null
`

func start(bin string) (string, error) {
	dir, err := os.MkdirTemp("", "hozenpg") // short: a socket's path has 107 bytes
	if err != nil {
		return "", err
	}
	cmd := exec.Command("/bin/sh", "-c", script, "sh", bin, dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		// PostgreSQL refuses to run as root.
		cred, err := unprivileged()
		if err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
		cmd.SysProcAttr.Credential = cred
		if err := os.Chown(dir, int(cred.Uid), int(cred.Gid)); err != nil {
			return "", errors.Join(err, os.RemoveAll(dir))
		}
	}
	if _, err := cmd.StdinPipe(); err != nil { // kept open by cmd until this program ends
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	socket := filepath.Join(dir, ".s.PGSQL.5432")
	deadline := time.NewTimer(time.Minute)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return "", fmt.Errorf("the server ended at once: %w", err)
		case <-deadline.C:
			return "", errors.Join(errors.New("the server did not start within a minute"), cmd.Process.Signal(syscall.SIGTERM))
		case <-tick.C:
		}
		if _, err := os.Stat(socket); err != nil {
			continue
		}
		log, err := os.ReadFile(filepath.Join(dir, "log"))
		if err == nil && strings.Contains(string(log), "database system is ready to accept connections") {
			return "postgres://postgres@/postgres?host=" + dir + "&sslmode=disable", nil
		}
	}
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, uerr := strconv.ParseUint(u.Uid, 10, 32)
		gid, gerr := strconv.ParseUint(u.Gid, 10, 32)
		if uerr == nil && gerr == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("no unprivileged user to run the server as")
}
