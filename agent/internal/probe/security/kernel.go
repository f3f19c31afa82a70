package security

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

const maxProfiles = 4 << 20

// kernel tells the parts of the kernel that guard it, but for its audit.
func kernel(r facts.Root, o *facts.Out) []record.SecurityTool {
	line := func(name, category string) record.SecurityTool {
		return record.SecurityTool{Name: name, Category: category, State: record.SecurityAbsent}
	}
	modules, lsm, err := value(r, "sys/kernel/security/lsm")
	o.Miss(err)
	loaded := func(name string) bool { // the list is the only one that a kernel without its own file system of it has
		for m := range strings.SplitSeq(modules, ",") {
			if m == name {
				return true
			}
		}
		return false
	}
	all := line("lsm", "access")
	if all.Mode = modules; lsm {
		all.State = record.SecurityRunning
	}

	armor := line("apparmor", "access")
	switch on := r.Value("sys/module/apparmor/parameters/enabled"); {
	case on == "Y" || loaded("apparmor"):
		armor.State = record.SecurityRunning
		b, err := r.File("sys/kernel/security/apparmor/profiles", maxProfiles)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Miss(fmt.Errorf("list the profiles of AppArmor: %w", err))
			armor.Detail = "its profiles: " + err.Error()
		} else {
			armor.Mode = profiles(b)
		}
	case on != "":
		armor.State = record.SecurityDisabled
	}

	se := line("selinux", "access")
	switch on := r.Value("sys/fs/selinux/enforce"); {
	case on == "1":
		se.State, se.Mode = record.SecurityRunning, "enforcing"
	case on == "0":
		se.State, se.Mode = record.SecurityRunning, "permissive"
	default:
		if b, _ := r.File("etc/selinux/config", 64<<10); len(b) > 0 {
			se.State, se.Mode = record.SecurityDisabled, "configured="+setting(b, "SELINUX")
		}
	}

	lock := line("lockdown", "kernel")
	text, is, err := value(r, "sys/kernel/security/lockdown")
	o.Miss(err)
	if _, chosen, ok := strings.Cut(text, "["); is && ok {
		lock.Mode, _, _ = strings.Cut(chosen, "]")
		if lock.State = record.SecurityRunning; lock.Mode == "none" {
			lock.State = record.SecurityDisabled
		}
	}

	ima := line("ima", "integrity")
	if _, err := r.Lstat("sys/kernel/security/ima"); err == nil {
		ima.State = record.SecurityRunning
		if n := r.Value("sys/kernel/security/ima/runtime_measurements_count"); n != "" {
			ima.Mode = n + " measurements"
		}
	}
	return []record.SecurityTool{all, armor, se, lock, ima}
}

// value reads a file of the kernel; what it does not have is no error.
func value(r facts.Root, name string) (text string, is bool, err error) {
	b, err := r.File(name, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return "", false, nil
	}
	text, _ = record.Text(bytes.TrimSpace(b))
	return text, err == nil, err
}

// profiles counts the profiles of AppArmor, "name (mode)" on each line, by their mode.
func profiles(b []byte) string {
	var modes []string
	count := map[string]int{}
	for line := range procfs.Lines(b) {
		i := bytes.LastIndexByte(line, '(')
		if i < 0 {
			continue
		}
		mode, _ := record.Text(bytes.TrimRight(line[i+1:], ")\n"))
		if count[mode]++; count[mode] == 1 {
			if len(modes) == 16 { // there are five
				break
			}
			modes = append(modes, mode)
		}
	}
	var told []string
	for _, m := range modes {
		told = append(told, fmt.Sprintf("%d %s", count[m], m))
	}
	if told == nil {
		return "no profiles"
	}
	return strings.Join(told, ", ")
}

// setting finds NAME=value in a file of settings; the last one counts.
func setting(b []byte, name string) (v string) {
	for line := range procfs.Lines(b) {
		if k, text, ok := bytes.Cut(bytes.TrimSpace(line), []byte{'='}); ok && string(k) == name {
			v, _ = record.Text(bytes.Trim(text, `"' `))
		}
	}
	return v
}
