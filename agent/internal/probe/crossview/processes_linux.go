package crossview

import (
	"context"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"hozen/internal/artifact/record"
)

// processes compares the list of /proc with what the kernel answers for every number. It
// lists before and after asking: who came meanwhile is in the second list, and who went
// is gone at the second look.
func (e *eyes) processes(ctx context.Context) (r result) {
	r.check.Check = record.CheckProcesses
	before, err := e.list(e.proc)
	if err != nil {
		r.err = err
		return r
	}
	surely := lastGiven()
	if n := len(before); n > 0 {
		surely = max(surely, before[n-1])
	}
	known, upTo, late := e.known(ctx, surely)
	r.err = late // what was asked is compared all the same
	after, err := e.list(e.proc)
	if err != nil {
		r.err = err
		return r
	}
	r.check.Views = []record.View{{View: "getdents", Says: strconv.Itoa(len(after))}, {View: "tgkill", Says: strconv.Itoa(len(known))}}
	if e.fresh < 0 {
		r.check.Detail = "without a /proc of our own: " + e.why.Error()
	} else if own, err := e.list(e.fresh); err == nil {
		r.check.Views = append(r.check.Views, record.View{View: "own_proc", Says: strconv.Itoa(len(own))})
	}
	unlisted := without(known, before, after)
	if e.hides { // what it leaves out by its rules has no folder either
		unlisted = slices.DeleteFunc(unlisted, func(pid int) bool { return !there(e.proc, pid) })
		r.check.Detail = "/proc leaves out processes of others (hidepid); " + r.check.Detail
	}
	unanswered := without(both(before, after), known)
	unanswered = slices.DeleteFunc(unanswered, func(pid int) bool { return pid > upTo })
	r.check.Differed = len(unlisted) + len(unanswered)
	if r.check.Differed == 0 {
		return r
	}
	for _, pid := range unlisted {
		if len(r.finds) >= maxFinds {
			break
		}
		if f, hidden := e.again(pid, false); hidden {
			r.finds = append(r.finds, f)
		}
	}
	for _, pid := range unanswered {
		if len(r.finds) >= maxFinds {
			break
		}
		if f, odd := e.again(pid, true); odd {
			r.finds = append(r.finds, f)
		}
	}
	return r
}

// again looks at one process a second time. It is in the list or not before and after
// the kernel is asked, so that a number that just changes its owner is no finding.
func (e *eyes) again(pid int, inList bool) (f record.CrossFinding, differs bool) {
	first := e.ask(pid)
	list, err := e.list(e.proc)
	if err != nil {
		return f, false
	}
	isListed := len(both([]int{pid}, list)) > 0
	last := e.ask(pid)
	if inList != isListed || first != last || first == isListed {
		return f, false
	}
	f = record.CrossFinding{Check: record.CheckProcesses, Finding: record.FindUnlisted, PID: pid}
	if inList {
		f.Finding = record.FindUnanswered
	}
	view := func(name string, is bool) { f.Views = append(f.Views, record.View{View: name, Says: says(is)}) }
	view("getdents", isListed)
	view("tgkill", last)
	var set unix.CPUSet
	err = unix.SchedGetaffinity(pid, &set)
	view("sched_getaffinity", err == nil || err == unix.EPERM)
	_, err = unix.Getpgid(pid)
	view("getpgid", err == nil || err == unix.EPERM)
	view("lookup", there(e.proc, pid))
	from := e.proc
	if e.fresh >= 0 {
		own, err := e.list(e.fresh)
		view("own_proc", err == nil && len(both([]int{pid}, own)) > 0)
		from = e.fresh
	}
	describe(from, pid, &f)
	return f, true
}

// covered finds what is mounted over parts of /proc.
func (e *eyes) covered(context.Context) (r result) {
	r.check.Check = record.CheckCovered
	first, n, err := e.coveredNow()
	if err != nil {
		r.err = err
		return r
	}
	b, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil { // the folder of this very process may be covered
		b = text(e.fresh, strconv.Itoa(os.Getpid())+"/mountinfo")
	}
	mounts := coverings(b)
	r.check.Views = []record.View{{View: "statx", Says: strconv.Itoa(len(first)) + " of " + strconv.Itoa(n)}, {View: "mountinfo", Says: strconv.Itoa(len(mounts))}}
	seen := make(map[int]bool)
	for _, c := range mounts {
		r.check.Differed++
		if c.pid != 0 && !mountPoint(e.proc, c.pid) { // gone at the second look
			continue
		}
		f := record.CrossFinding{Check: record.CheckCovered, Finding: record.FindMounted, PID: c.pid}
		f.MountPoint, f.MountRoot, f.FSType, f.Source = str(c.point), str(c.root), str(c.fsType), str(c.source)
		if c.pid != 0 {
			e.under(c.pid, &f)
			seen[c.pid] = true
		}
		r.finds = append(r.finds, f)
	}
	for _, pid := range first { // mountinfo may lie, or show another root
		if seen[pid] || len(r.finds) >= maxFinds {
			continue
		}
		r.check.Differed++
		if mountPoint(e.proc, pid) {
			f := record.CrossFinding{Check: record.CheckCovered, PID: pid}
			e.under(pid, &f)
			r.finds = append(r.finds, f)
		}
	}
	return r
}

// under tells of a covered process what there is without the cover.
func (e *eyes) under(pid int, f *record.CrossFinding) {
	f.Finding = record.FindCovered
	f.Views = []record.View{{View: "statx", Says: "mount_point"}, {View: "tgkill", Says: says(e.ask(pid))}}
	if e.fresh >= 0 {
		f.Views = append(f.Views, record.View{View: "own_proc", Says: says(there(e.fresh, pid))})
		describe(e.fresh, pid, f)
	}
}

// coveredNow returns the listed processes whose folder is something else, and how many
// were looked at.
func (e *eyes) coveredNow() (pids []int, n int, err error) {
	list, err := e.list(e.proc)
	if err != nil {
		return nil, 0, err
	}
	for _, pid := range list {
		if mountPoint(e.proc, pid) {
			pids = append(pids, pid)
		}
	}
	return pids, len(list), nil
}

// mountPoint reports whether something is mounted over the folder of a process.
func mountPoint(dir, pid int) bool {
	var st unix.Statx_t
	err := unix.Statx(dir, strconv.Itoa(pid), unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_DONT_SYNC|unix.AT_NO_AUTOMOUNT, unix.STATX_TYPE, &st)
	return err == nil && st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

func str(b []byte) string {
	s, _ := record.Text(b)
	return s
}
