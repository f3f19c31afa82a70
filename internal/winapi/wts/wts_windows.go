package wts

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Active lists the sessions that somebody is signed in to and uses or may come back to.
func Active() ([]uint32, error) {
	var list *windows.WTS_SESSION_INFO
	var n uint32
	if err := windows.WTSEnumerateSessions(0, 0, 1, &list, &n); err != nil {
		return nil, fmt.Errorf("list sessions: %w", err)
	}
	defer windows.WTSFreeMemory(uintptr(unsafe.Pointer(list)))
	var ids []uint32
	for _, s := range unsafe.Slice(list, n) {
		if s.State == windows.WTSActive || s.State == windows.WTSDisconnected {
			ids = append(ids, s.SessionID)
		}
	}
	return ids, nil
}

// ConsoleUser returns the account of whoever sits at the PC, as S-1-….
func ConsoleUser() (sid string, err error) {
	const none = 0xffffffff
	session := windows.WTSGetActiveConsoleSessionId()
	if session == none {
		return "", fmt.Errorf("nobody sits at the PC: %w", windows.ERROR_NO_SUCH_LOGON_SESSION)
	}
	var t windows.Token
	if err := windows.WTSQueryUserToken(session, &t); err != nil {
		return "", fmt.Errorf("ask for the user of session %d: %w", session, err)
	}
	defer t.Close()
	u, err := t.GetTokenUser()
	if err != nil {
		return "", fmt.Errorf("read account of session %d: %w", session, err)
	}
	return u.User.Sid.String(), nil
}

// Process is a program that was started.
type Process struct {
	pid  int
	h    windows.Handle
	mu   sync.Mutex // guards h
	done chan struct{}
}

// PID is the process's number; as long as Done is open nobody else's.
func (p *Process) PID() int { return p.pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Kill ends the process.
func (p *Process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.done:
	default:
		_ = windows.TerminateProcess(p.h, 1) // it may have ended already
	}
}

// Starter starts programs that end with this one, however that ends.
type Starter struct{ job windows.Handle }

// NewStarter returns a Starter. Where Windows does not tie processes together
// (Job Objects), they have to be killed one by one.
func NewStarter() *Starter {
	job, err := windows.CreateJobObject(nil, nil)
	if err != nil {
		return &Starter{}
	}
	var limit windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	limit.BasicLimitInformation.LimitFlags = windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE
	if _, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&limit)), uint32(unsafe.Sizeof(limit))); err != nil {
		windows.CloseHandle(job)
		return &Starter{}
	}
	return &Starter{job}
}

// Start starts a program in a session as its user, without a console.
func (s *Starter) Start(session uint32, exe string, args ...string) (*Process, error) {
	var t windows.Token
	if err := windows.WTSQueryUserToken(session, &t); err != nil {
		return nil, fmt.Errorf("ask for the user of session %d: %w", session, err)
	}
	defer t.Close()
	var env *uint16
	if err := windows.CreateEnvironmentBlock(&env, t, false); err != nil {
		return nil, fmt.Errorf("read environment of session %d: %w", session, err)
	}
	defer windows.DestroyEnvironmentBlock(env)
	words := []string{syscall.EscapeArg(exe)}
	for _, a := range args {
		words = append(words, syscall.EscapeArg(a))
	}
	app, err := windows.UTF16PtrFromString(exe)
	if err != nil {
		return nil, err
	}
	line, err := windows.UTF16PtrFromString(strings.Join(words, " "))
	if err != nil {
		return nil, err
	}
	folder, err := windows.UTF16PtrFromString(filepath.Dir(exe))
	if err != nil {
		return nil, err
	}
	desktop, err := windows.UTF16PtrFromString(`winsta0\default`)
	if err != nil {
		return nil, err
	}
	si := windows.StartupInfo{Desktop: desktop}
	si.Cb = uint32(unsafe.Sizeof(si))
	var pi windows.ProcessInformation
	if err := windows.CreateProcessAsUser(t, app, line, nil, nil, false, windows.CREATE_UNICODE_ENVIRONMENT|windows.DETACHED_PROCESS, env, folder, &si, &pi); err != nil {
		return nil, fmt.Errorf("start program in session %d: %w", session, err)
	}
	windows.CloseHandle(pi.Thread)
	if s.job != 0 {
		_ = windows.AssignProcessToJobObject(s.job, pi.Process) // then whoever started it kills it
	}
	p := &Process{pid: int(pi.ProcessId), h: pi.Process, done: make(chan struct{})}
	go func() {
		_, _ = windows.WaitForSingleObject(p.h, windows.INFINITE)
		p.mu.Lock()
		defer p.mu.Unlock()
		close(p.done)
		windows.CloseHandle(p.h)
	}()
	return p, nil
}
