package winsys

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"

	"hozen/agent/internal/probe/winbytes"
	"hozen/agent/internal/probe/winscan"
)

const (
	objectNameInformation = 1
	objectTypeInformation = 2

	// patience is how long one handle may be asked for its name. The name of a pipe on which
	// somebody waits is not told before the wait is over.
	patience = 150 * time.Millisecond
)

// Handles names the handles of all processes. One lives as long as the agent, because it counts
// the threads that an answer keeps waiting.
type Handles struct {
	waits  waits
	mu     sync.Mutex
	types  map[uint16]string
	idle   *asker
	drives []drive
}

// NewHandles returns one that has asked nothing yet.
func NewHandles() *Handles { return &Handles{types: make(map[uint16]string)} }

// Table implements [winscan.Handles].
func (n *Handles) Table() (winbytes.Answer, error) {
	n.waits.begin()
	d := drives()
	n.mu.Lock()
	n.drives = d
	n.mu.Unlock()
	return System{}.Handles()
}

// Process implements [winscan.Handles].
func (n *Handles) Process(pid int, created int64) (winscan.Namer, error) {
	h, err := windows.OpenProcess(windows.PROCESS_DUP_HANDLE|windows.PROCESS_QUERY_LIMITED_INFORMATION, false, uint32(pid))
	if err != nil {
		if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
			err = winscan.ErrGone
		}
		return nil, fmt.Errorf("open process: %w", told(err))
	}
	if !same(h, created) {
		windows.CloseHandle(h)
		return nil, winscan.ErrGone
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return &namer{names: n, process: h, drives: n.drives}, nil
}

// namer names the handles of one process.
type namer struct {
	names   *Handles
	process windows.Handle
	drives  []drive
}

// Close implements [winscan.Namer].
func (n *namer) Close() { windows.CloseHandle(n.process) }

// Name implements [winscan.Namer].
func (n *namer) Name(h winbytes.Handle) (name winscan.Name, silent bool) {
	kind := n.names.kind(h.Type)
	if kind != "" && !telling(kind) {
		return winscan.Name{Kind: kind}, false
	}
	var dup windows.Handle
	if windows.DuplicateHandle(n.process, windows.Handle(h.Value), windows.CurrentProcess(), &dup, 0, false, 0) != nil {
		if windows.DuplicateHandle(n.process, windows.Handle(h.Value), windows.CurrentProcess(), &dup, 0, false, windows.DUPLICATE_SAME_ACCESS) != nil {
			return winscan.Name{Kind: kind}, false // closed by now, or of a type that cannot be told of
		}
	}
	if kind == "" {
		if kind = typeOf(dup); kind != "" {
			n.names.learn(h.Type, kind)
		}
	}
	name.Kind = kind
	switch {
	case !telling(kind):
		windows.CloseHandle(dup)
	case kind == "File":
		var text []byte
		text, silent = n.names.ask(dup, h.Object) // which closes it
		name.Target, name.Exact = winbytes.Text(text)
	default:
		name.Target, name.Exact = winbytes.Text(nameOf(dup))
		windows.CloseHandle(dup)
	}
	for _, d := range n.drives {
		if rest, ok := strings.CutPrefix(name.Target, d.device+`\`); ok {
			name.Target = d.letter + `\` + rest
			break
		}
	}
	return name, silent
}

// telling reports whether handles of a type have names that tell something.
func telling(kind string) bool {
	switch kind {
	case "File", "Key", "Mutant", "Section", "Event", "Semaphore", "SymbolicLink", "Directory", "ALPC Port", "Job", "WindowStation", "Desktop", "Device", "Driver", "":
		return true
	}
	return false
}

func (n *Handles) kind(number uint16) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.types[number]
}

func (n *Handles) learn(number uint16, kind string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.types[number] = kind
}

// asker is a thread that asks for names of files.
type asker struct {
	thread windows.Handle
	todo   chan windows.Handle
	done   chan []byte
}

// ask lets a thread of its own ask for the name of a file, and closes the handle. Whoever waits
// too long is told to give up, and left behind when it cannot.
func (n *Handles) ask(h windows.Handle, object uint64) (name []byte, silent bool) {
	if !n.waits.may(object) {
		windows.CloseHandle(h)
		return nil, true
	}
	a := n.asker()
	a.todo <- h
	late := time.NewTimer(patience)
	defer late.Stop()
	for tries := 0; ; tries++ {
		select {
		case name := <-a.done:
			n.mu.Lock()
			spare := n.idle != nil
			if !spare {
				n.idle = a
			}
			n.mu.Unlock()
			if spare {
				close(a.todo)
			}
			return name, tries > 0 && name == nil
		case <-late.C:
		}
		if tries == 0 { // most of them can be called off
			cancelIO(a.thread)
			late.Reset(patience / 3)
			continue
		}
		n.waits.add(object)
		go func() {
			<-a.done
			close(a.todo)
			n.waits.answered(object)
		}()
		return nil, true
	}
}

// Rest ends the thread that is kept for the next question.
func (n *Handles) Rest() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.idle != nil {
		close(n.idle.todo)
		n.idle = nil
	}
}

// asker returns a thread that has nothing to do, and makes one if need be.
func (n *Handles) asker() *asker {
	n.mu.Lock()
	defer n.mu.Unlock()
	if a := n.idle; a != nil {
		n.idle = nil
		return a
	}
	a := &asker{todo: make(chan windows.Handle), done: make(chan []byte, 1)}
	ready := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		self := windows.CurrentProcess()
		if windows.DuplicateHandle(self, windows.CurrentThread(), self, &a.thread, 0, false, windows.DUPLICATE_SAME_ACCESS) == nil {
			defer windows.CloseHandle(a.thread)
		}
		close(ready)
		for h := range a.todo {
			b := nameOf(h)
			windows.CloseHandle(h)
			a.done <- b
		}
	}()
	<-ready
	return a
}

// cancelIO tells a thread to give up what it waits for (CancelSynchronousIo).
func cancelIO(thread windows.Handle) {
	if call, err := find(kernel32, "CancelSynchronousIo"); err == nil && thread != 0 {
		_, _, _ = call.Call(uintptr(thread)) // it may have its answer by now
	}
}

// object asks NtQueryObject for a text.
func object(h windows.Handle, class int) []byte {
	call, err := find(ntdll, "NtQueryObject")
	if err != nil {
		return nil
	}
	for size := uint32(1 << 10); size <= 1<<17; size *= 16 {
		b := make([]byte, size)
		var n uint32
		r, _, _ := call.Call(uintptr(h), uintptr(class), uintptr(unsafe.Pointer(&b[0])), uintptr(size), uintptr(unsafe.Pointer(&n)))
		if r == 0 {
			text, err := winbytes.Answer{Bytes: b, Base: uint64(uintptr(unsafe.Pointer(&b[0])))}.Unicode(0)
			if err != nil {
				return nil
			}
			return text
		}
	}
	return nil
}

func nameOf(h windows.Handle) []byte { return object(h, objectNameInformation) }

func typeOf(h windows.Handle) string {
	s, _ := winbytes.Text(object(h, objectTypeInformation))
	return s
}

// drive is a letter and the device that it stands for.
type drive struct{ letter, device string }

// drives asks which devices have letters (QueryDosDevice).
func drives() (list []drive) {
	for c := 'A'; c <= 'Z'; c++ {
		letter := string(c) + ":"
		name, err := windows.UTF16PtrFromString(letter)
		if err != nil {
			continue
		}
		var b [1024]uint16
		if n, err := windows.QueryDosDevice(name, &b[0], uint32(len(b))); err == nil && n > 0 {
			list = append(list, drive{letter, windows.UTF16ToString(b[:])})
		}
	}
	return list
}
