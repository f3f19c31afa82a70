package main

import (
	"hozen/agent/internal/config"
	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/bodyfile"
	"hozen/agent/internal/probe/filecopy"
	"hozen/agent/internal/probe/pkgcheck"
	"hozen/agent/internal/probe/ransom"
	"hozen/agent/internal/probe/scan"
	"hozen/internal/artifact"
)

// within returns the profiles with what the organisation lets be read of people's own, and a
// folder for what Windows saves to be copied.
func (p *profiles) within(t config.Triage, room string) *profiles {
	p.room = room
	p.scope = filecopy.Scope{Private: t.Private, NoHistories: !t.Histories}
	return p
}

// ofFiles makes the probes of the profiles triage and ransom; nil for other kinds. Those that
// look at the same files share look.
func (p *profiles) ofFiles(kind artifact.Kind, pass *scan.Pass, look *ransom.Look) probe.Probe {
	switch kind {
	case artifact.KindBodyFile:
		return bodyfile.New(bodyfile.Config{Root: "/", Private: p.scope.Private})
	case artifact.KindPkgCheck:
		return pkgcheck.New("/")
	case artifact.KindProcIO:
		return ransom.NewProcIO(pass)
	case artifact.KindFileStat:
		return look.FileStat()
	case artifact.KindRansomNote:
		return look.Notes()
	}
	return copies(kind, p.scope, p.room)
}
