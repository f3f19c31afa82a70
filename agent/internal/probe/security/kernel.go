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

const (
	maxProfiles = 4 << 20
	maxText     = 64 << 10
)

// kernel tells the parts of the kernel that guard it, but for its audit.
func kernel(r facts.Root, o *facts.Out) []*record.SecurityTool {
	const securityFS = "sys/kernel/security/"
	text := func(name string) string { // what the kernel does not have is no error
		b, err := r.File(name, maxText)
		o.Miss(err)
		s, _ := record.Text(bytes.TrimSpace(b))
		return s
	}
	all := &record.SecurityTool{Name: "lsm", Category: "access", Mode: text(securityFS + "lsm")}
	switched(all, all.Mode != "", false)

	armor := &record.SecurityTool{Name: "apparmor", Category: "access"}
	on := text("sys/module/apparmor/parameters/enabled")
	if switched(armor, on == "Y", on != ""); on == "Y" {
		b, err := r.File(securityFS+"apparmor/profiles", maxProfiles)
		if armor.Mode = profiles(b); err != nil && !errors.Is(err, fs.ErrNotExist) {
			o.Miss(err)
			armor.Mode, armor.Detail = "", "its profiles: "+err.Error()
		}
	}

	se := &record.SecurityTool{Name: "selinux", Category: "access"}
	switch text("sys/fs/selinux/enforce") {
	case "1":
		se.Mode = "enforcing"
	case "0":
		se.Mode = "permissive"
	}
	config, _ := r.File("etc/selinux/config", maxText)
	if switched(se, se.Mode != "", len(config) > 0); se.Mode == "" && len(config) > 0 {
		se.Mode = "configured=" + setting(config, "SELINUX")
	}

	lock := &record.SecurityTool{Name: "lockdown", Category: "kernel"}
	_, mode, is := strings.Cut(text(securityFS+"lockdown"), "[")
	lock.Mode, _, _ = strings.Cut(mode, "]")
	switched(lock, is && lock.Mode != "none", is)

	ima := &record.SecurityTool{Name: "ima", Category: "integrity"}
	_, err := r.Lstat(securityFS + "ima")
	switched(ima, err == nil, false)
	return []*record.SecurityTool{all, armor, se, lock, ima}
}

// switched says whether something is on, or is there all the same.
func switched(s *record.SecurityTool, on, is bool) {
	switch {
	case on:
		s.State = record.SecurityRunning
	case is:
		s.State = record.SecurityDisabled
	default:
		s.State = record.SecurityAbsent
	}
}

// profiles counts the profiles of AppArmor, "name (mode)" on each line.
func profiles(b []byte) string {
	count := func(mode string) int { return bytes.Count(b, []byte(" ("+mode+")\n")) }
	return fmt.Sprintf("%d profiles, %d enforce, %d complain", bytes.Count(b, []byte{'\n'}), count("enforce"), count("complain"))
}

// setting finds NAME=value in a file of settings; the last one counts.
func setting(b []byte, name string) (v string) {
	for len(b) > 0 {
		var line []byte
		line, b = procfs.Line(b)
		if text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(name+"=")); ok {
			v, _ = record.Text(bytes.Trim(text, `"' `))
		}
	}
	return v
}
