package crossview

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"hozen/agent/internal/probe/sockdiag"
	"hozen/internal/artifact/record"
)

// looks is how often sockets on which the views differ are looked at: a text of /proc/net
// leaves out a few while others come and go, and hardly ever the same ones each time.
const looks = 4

// table is one kind of sockets.
type table struct {
	request sockdiag.Request
	column  int // of the inode in its text, from 0
}

func tables() []table {
	const inet, packet, unix = 9, 8, 6
	return []table{
		{sockdiag.TCP, inet}, {sockdiag.TCP6, inet}, {sockdiag.UDP, inet}, {sockdiag.UDP6, inet},
		{sockdiag.Raw, inet}, {sockdiag.Raw6, inet}, {sockdiag.Packet, packet}, {sockdiag.Unix, unix},
	}
}

// sockets compares sock_diag with /proc/net.
func (e *eyes) sockets(ctx context.Context) (r result) {
	r.check.Check = record.CheckSockets
	conn, err := sockdiag.Dial()
	if err != nil {
		r.err = err
		return r
	}
	defer conn.Close()
	var diags, texts int
	var single []string
	for _, t := range tables() {
		if ctx.Err() != nil {
			r.err = ctx.Err()
			break
		}
		d, x, finds, err := e.compare(ctx, conn, t, &r.check.Differed)
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
			single = append(single, t.request.String())
			continue
		}
		if err != nil {
			r.err = errors.Join(r.err, err)
			continue
		}
		diags, texts = diags+d, texts+x
		r.finds = append(r.finds, finds...)
	}
	r.check.Views = []record.View{{View: "sock_diag", Says: strconv.Itoa(diags)}, {View: "proc_net", Says: strconv.Itoa(texts)}}
	if len(single) > 0 && r.err == nil {
		r.check.Detail = "this kernel has one view alone of " + strings.Join(single, ", ")
	}
	return r
}

// compare compares one table.
func (e *eyes) compare(ctx context.Context, conn *sockdiag.Conn, t table, differed *int) (diags, texts int, finds []record.CrossFinding, err error) {
	var onlyDiag, onlyText []uint64
	for n := range looks {
		d, err := e.diag(ctx, conn, t.request)
		if err != nil {
			return 0, 0, nil, err
		}
		x, err := e.texted(t)
		if err != nil {
			return 0, 0, nil, err
		}
		if n == 0 {
			diags, texts = len(d), len(x)
			onlyDiag, onlyText = without(d, x), without(x, d)
			*differed += len(onlyDiag) + len(onlyText)
		} else {
			onlyDiag, onlyText = both(without(onlyDiag, x), d), both(without(onlyText, d), x)
		}
		if len(onlyDiag)+len(onlyText) == 0 {
			return diags, texts, nil, nil
		}
	}
	for i, list := range [2][]uint64{onlyDiag, onlyText} {
		for _, inode := range list[:min(len(list), maxFinds)] {
			f := record.CrossFinding{
				Check: record.CheckSockets, Finding: record.FindOnlyDiag, Table: t.request.String(), Inode: inode,
				Views: []record.View{{View: "sock_diag", Says: says(i == 0)}, {View: "proc_net", Says: says(i == 1)}},
			}
			if i == 1 {
				f.Finding = record.FindOnlyText
			}
			finds = append(finds, f)
		}
	}
	return diags, texts, finds, nil
}

// diag returns the inodes of a table by sock_diag.
func diag(ctx context.Context, conn *sockdiag.Conn, r sockdiag.Request) (list []uint64, err error) {
	var p sockdiag.Parser
	err = conn.Rows(ctx, r, func(body []byte) error {
		s, err := p.Socket(r, body)
		if err == nil && s.Inode != 0 {
			list = append(list, s.Inode)
		}
		return err
	})
	if err != nil && !errors.Is(err, sockdiag.ErrInterrupted) {
		return nil, err
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// texted returns the inodes of a table by its text.
func texted(t table) ([]uint64, error) {
	f, err := os.Open("/proc/thread-self/net/" + t.request.String()) // of the namespace that sock_diag is asked in
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, _, err := inodes(f, t.column)
	if err != nil {
		return nil, fmt.Errorf("read %s sockets: %w", t.request, err)
	}
	return list, nil
}

// modules compares /proc/modules with /sys/module, where a module that is loaded has a
// state and one that is built in has none.
func (e *eyes) modules(context.Context) (r result) {
	r.check.Check = record.CheckModules
	var onlyProc, onlySys []string
	for n := range 2 {
		proc, sys, err := e.loaded()
		if errors.Is(err, fs.ErrNotExist) && len(proc) == 0 {
			if len(sys) == 0 {
				r.check.Detail = "this kernel loads no modules"
				return r
			}
			err = nil // it has some, and their list was taken away
		}
		if err != nil {
			r.err = err
			return r
		}
		p := slices.DeleteFunc(slices.Clone(proc), func(m string) bool { return slices.Contains(sys, m) })
		s := slices.DeleteFunc(slices.Clone(sys), func(m string) bool { return slices.Contains(proc, m) })
		if n == 0 {
			r.check.Views = []record.View{{View: "proc_modules", Says: strconv.Itoa(len(proc))}, {View: "sys_module", Says: strconv.Itoa(len(sys))}}
			r.check.Differed = len(p) + len(s)
			onlyProc, onlySys = p, s
		} else {
			onlyProc = slices.DeleteFunc(onlyProc, func(m string) bool { return !slices.Contains(p, m) })
			onlySys = slices.DeleteFunc(onlySys, func(m string) bool { return !slices.Contains(s, m) })
		}
	}
	for i, list := range [2][]string{onlyProc, onlySys} {
		for _, name := range list[:min(len(list), maxFinds)] {
			f := record.CrossFinding{
				Check: record.CheckModules, Finding: record.FindOnlyProc, Name: name,
				Views: []record.View{{View: "proc_modules", Says: says(i == 0)}, {View: "sys_module", Says: says(i == 1)}},
			}
			if i == 1 {
				f.Finding = record.FindOnlySys
			}
			r.finds = append(r.finds, f)
		}
	}
	return r
}

// modulesLoaded returns the modules of both views. The error wraps fs.ErrNotExist when one of
// them is not there.
func modulesLoaded() (proc, sys []string, err error) { return modulesUnder("") }

func modulesUnder(root string) (proc, sys []string, err error) {
	list, missing := os.ReadDir(root + "/sys/module")
	if missing != nil && !errors.Is(missing, fs.ErrNotExist) {
		return nil, nil, missing
	}
	for _, d := range list {
		if _, err := os.Lstat(root + "/sys/module/" + d.Name() + "/initstate"); err == nil {
			sys = append(sys, d.Name())
		}
	}
	b, err := os.ReadFile(root + "/proc/modules")
	if err == nil {
		err = missing
	}
	return moduleNames(b), sys, err
}
