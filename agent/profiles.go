package main

import (
	"fmt"
	"runtime"
	"time"

	"hozen/agent/internal/acquire"
	"hozen/agent/internal/config"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/autostart"
	"hozen/agent/internal/probe/bpf"
	"hozen/agent/internal/probe/clock"
	"hozen/agent/internal/probe/crossview"
	"hozen/agent/internal/probe/deletedexe"
	"hozen/agent/internal/probe/dnscache"
	"hozen/agent/internal/probe/exehash"
	"hozen/agent/internal/probe/filelock"
	"hozen/agent/internal/probe/footprint"
	"hozen/agent/internal/probe/hostinfo"
	"hozen/agent/internal/probe/kernlog"
	"hozen/agent/internal/probe/keyring"
	"hozen/agent/internal/probe/kmod"
	"hozen/agent/internal/probe/login"
	"hozen/agent/internal/probe/memory"
	"hozen/agent/internal/probe/namespace"
	"hozen/agent/internal/probe/netconfig"
	"hozen/agent/internal/probe/netconn"
	"hozen/agent/internal/probe/netfilter"
	"hozen/agent/internal/probe/openfile"
	"hozen/agent/internal/probe/procenv"
	"hozen/agent/internal/probe/process"
	"hozen/agent/internal/probe/procmap"
	"hozen/agent/internal/probe/procstate"
	"hozen/agent/internal/probe/ransom"
	"hozen/agent/internal/probe/scan"
	"hozen/agent/internal/probe/security"
	"hozen/agent/internal/probe/session"
	"hozen/agent/internal/probe/shared"
	"hozen/agent/internal/probe/storage"
	"hozen/agent/internal/probe/sysctl"
	"hozen/agent/internal/probe/usb"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/profile"
)

// profileFlash is what can be acquired before a network isolation.
const profileFlash = profile.Flash

// profileBoot is what belongs to a boot as such; what is to be said of the one before
// comes with the order.
const profileBoot = "boot"

// profileSelfTest is what a self-test is to be read with; its results come with the order.
const profileSelfTest = "selftest"

// profileProof is the evidence of a network isolation, which comes with the order alone.
const profileProof = "proof"

// onWindows is the system whose agent dumps processes; what is asked for it alone is not in the
// programs of others.
const onWindows = "windows"

// memoryLimit keeps the agent below 60 MB with its code, some 15 MB, while it acquires.
const memoryLimit = 40e6

// profiles makes plans. It is made once, because digests of programs are worth
// remembering from one acquisition to the next.
type profiles struct {
	hashes *exehash.Cache
	keep   *scan.Keep
	file   config.Triage // what the PC's own file lets be copied of people's own
	org    *organisation // what the organisation lets; nil: there is none
	room   string        // for what Windows saves to be copied
}

func newProfiles() *profiles { return &profiles{hashes: exehash.NewCache(0), keep: scan.NewKeep()} }

// plan returns a fresh plan; its probes share one reading of the endpoint and serve
// one acquisition. A probe that the system has no source for says so in its outcome,
// so the list is the same everywhere.
func (p *profiles) plan(name string) (acquire.Plan, error) {
	switch name {
	case profileProof:
		return acquire.Plan{Profile: profileProof}, nil
	case profileBoot, profileSelfTest:
		return acquire.Plan{Profile: name, Probes: []acquire.Planned{
			planned(500*time.Millisecond, hostinfo.New("/")), planned(250*time.Millisecond, clock.New("/")),
		}}, nil
	}
	table, err := profile.Find(name)
	if runtime.GOOS == onWindows && err != nil {
		table, err = findProfile(name)
	}
	if err != nil {
		return acquire.Plan{}, err
	}
	under := p.org.now(p.file) // once: it holds until the acquisition is over
	plan := acquire.Plan{Profile: table.Name, Gentle: table.Gentle}
	var said func(*record.Footprint)
	if p.org != nil {
		plan.Wrap, said = under.wrap, under.said
	}
	if table.Gentle { // flash may take what it needs: it must not wait for the garbage collector
		plan.Memory = memoryLimit
	}
	options := scan.Options{Keep: p.keep}
	if table.Gentle { // there is time, and a process of a busy PC may be slow without being stuck
		options.Patience = 2 * time.Second
	}
	pass, ram, look := scan.New(options), memory.New("/"), ransom.NewLook("/")
	for _, l := range table.Lines {
		one := p.probe(l.Kind, pass, ram, said)
		if one == nil {
			one = p.ofFiles(l.Kind, pass, look, under.scope)
		}
		if one == nil {
			return acquire.Plan{}, fmt.Errorf("profile %s: nothing reads %s", name, l.Kind)
		}
		if l.Kind == artifact.KindMemory {
			l.Budget = memory.Budget(l.Budget)
		}
		line := planned(l.Budget, one)
		line.Rest = l.Rest
		plan.Probes = append(plan.Probes, line)
	}
	if runtime.GOOS == onWindows {
		plan.Probes = append(plan.Probes, p.dump(name)...)
	}
	return plan, nil
}

// probe makes the probe that reads a kind; nil when there is none. Those that read
// processes share pass, those that read memory ram.
func (p *profiles) probe(kind artifact.Kind, pass *scan.Pass, ram *memory.Capture, said func(*record.Footprint)) probe.Probe {
	switch kind {
	case artifact.KindProcess:
		return process.New(pass)
	case artifact.KindNetConn:
		return netconn.New(pass)
	case artifact.KindOpenFile:
		return openfile.New(pass)
	case artifact.KindSession:
		return session.New("/")
	case artifact.KindNetConfig:
		return netconfig.New("/")
	case artifact.KindHostInfo:
		return hostinfo.New("/")
	case artifact.KindClock:
		return clock.New("/")
	case artifact.KindExeHash:
		return exehash.New(pass, p.hashes)
	case artifact.KindProcState:
		return procstate.New(pass)
	case artifact.KindProcMap:
		return procmap.New(pass)
	case artifact.KindProcEnv:
		return procenv.New(pass)
	case artifact.KindDeletedExe:
		return deletedexe.New(pass)
	case artifact.KindFileLock:
		return filelock.New(pass)
	case artifact.KindCrossView:
		return crossview.New()
	case artifact.KindStorage:
		return storage.New("/")
	case artifact.KindKmod:
		return kmod.New("/")
	case artifact.KindConntrack:
		return netfilter.NewConntrack("/")
	case artifact.KindNetfilter:
		return netfilter.New("/", platformFilters)
	case artifact.KindShared:
		return shared.New("/")
	case artifact.KindAutostart:
		return autostart.New("/")
	case artifact.KindKeyring:
		return keyring.New("/")
	case artifact.KindUSB:
		return usb.New("/")
	case artifact.KindSysctl:
		return sysctl.New("/")
	case artifact.KindBPF:
		return bpf.New()
	case artifact.KindLogin:
		return login.New("/")
	case artifact.KindMemory:
		return ram.Image()
	case artifact.KindMemRange:
		return ram.Ranges()
	case artifact.KindKernel:
		return memory.NewKernel("/")
	case artifact.KindKallsyms, artifact.KindBTF, artifact.KindSystemMap, artifact.KindKconfig:
		return memory.NewFile("/", kind)
	case artifact.KindNamespace:
		return namespace.New(pass)
	case artifact.KindDNSCache:
		return dnscache.New(dnscache.Config{Pass: pass})
	case artifact.KindKernLog:
		return kernlog.New()
	case artifact.KindSecurity:
		return security.New("/", pass)
	case artifact.KindFootprint:
		return footprint.New(said)
	}
	return nil
}

func checkProfile(name string) error {
	_, err := profile.Find(name)
	if runtime.GOOS == onWindows && err != nil {
		_, err = findProfile(name)
	}
	return err
}

// planned makes a line of a plan.
func planned(budget time.Duration, p probe.Probe) acquire.Planned {
	return acquire.Planned{New: func() probe.Probe { return p }, Budget: budget}
}
