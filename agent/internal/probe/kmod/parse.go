package kmod

import (
	"bytes"
	"strconv"
	"strings"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

// parse reads /proc/modules: name, size, users, who they are ("a,b," or "-"), state,
// address, and the taint in brackets.
func parse(b []byte) (list []record.KernelModule, odd int) {
	for line := range procfs.Lines(b) {
		if len(list) == maxModules {
			return list, odd + 1
		}
		name, rest := procfs.Word(line)
		size, rest := procfs.Word(rest)
		refs, rest := procfs.Word(rest)
		users, rest := procfs.Word(rest)
		state, rest := procfs.Word(rest)
		_, rest = procfs.Word(rest) // its address, which few may see
		n, ok := procfs.Number(size)
		if !ok || len(state) == 0 {
			odd++
			continue
		}
		m := record.KernelModule{Size: n, State: strings.ToLower(text(state)), InProc: true}
		m.Name, m.NameRaw = record.Text(name)
		if m.Refs, _ = strconv.Atoi(string(refs)); string(refs) == "-" {
			m.Refs = -1
		}
		for u := range strings.SplitSeq(text(users), ",") {
			switch u {
			case "", "-":
			case "[permanent]":
				m.Refs = -1
			default:
				m.UsedBy = append(m.UsedBy, u)
			}
		}
		if taint := bytes.TrimSpace(rest); len(taint) > 2 && taint[0] == '(' {
			m.Tainted = strings.Trim(text(taint), "()+-") // + and - while it comes and goes
		}
		list = append(list, m)
	}
	return list, odd
}

func text(b []byte) string {
	s, _ := record.Text(b)
	return s
}

// taint is a reason to trust a kernel less, by its bit.
type taint struct {
	letter  byte
	meaning string
}

// taints returns the bits from 0 on (Documentation/admin-guide/tainted-kernels.rst).
func taints() []taint {
	return []taint{
		{'P', "proprietary module was loaded"},
		{'F', "module was force loaded"},
		{'S', "kernel runs on a processor or system out of specification"},
		{'R', "module was force unloaded"},
		{'M', "processor reported a machine check exception"},
		{'B', "bad page was referenced"},
		{'U', "taint was requested by a program"},
		{'D', "kernel died recently (oops or bug)"},
		{'A', "ACPI table was overridden"},
		{'W', "kernel issued a warning"},
		{'C', "staging driver was loaded"},
		{'I', "workaround for a bug in the platform firmware was applied"},
		{'O', "module from outside the kernel's tree was loaded"},
		{'E', "unsigned module was loaded"},
		{'L', "soft lockup occurred"},
		{'K', "kernel was live patched"},
		{'X', "auxiliary taint of the distribution"},
		{'T', "kernel was built with the struct randomization plugin"},
		{'N', "in-kernel test was run"},
		{'J', "mutating debug operation was used (fwctl)"},
	}
}

// letters spells the kernel's taint; a bit that is not known is "?".
func letters(bits uint64) string {
	known := taints()
	var b strings.Builder
	for i := range 64 {
		switch {
		case bits&(1<<i) == 0:
		case i < len(known):
			b.WriteByte(known[i].letter)
		default:
			b.WriteByte('?')
		}
	}
	return b.String()
}

// explain says what the letters of a taint mean.
func explain(letters string) (same string, why []string) {
	for _, l := range letters {
		meaning := "not known to this version"
		for _, t := range taints() {
			if rune(t.letter) == l {
				meaning = t.meaning
			}
		}
		why = append(why, string(l)+": "+meaning)
	}
	return letters, why
}
