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

// within returns the profiles with what the organisation, and the PC's own file, let be read of
// people's own, and a folder for what Windows saves to be copied. The organisation is asked for
// each plan anew.
func (p *profiles) within(t config.Triage, org *organisation, room string) *profiles {
	p.file, p.org, p.room = t, org, room
	return p
}

// ofFiles makes the probes of the profiles triage and ransom; nil for other kinds. Those that
// look at the same files share look.
func (p *profiles) ofFiles(kind artifact.Kind, pass *scan.Pass, look *ransom.Look, scope filecopy.Scope) probe.Probe {
	switch kind {
	case artifact.KindBodyFile:
		return bodyfile.New(bodyfile.Config{Root: "/", Private: scope.Private})
	case artifact.KindPkgCheck:
		return pkgcheck.New("/")
	case artifact.KindProcIO:
		return ransom.NewProcIO(pass)
	case artifact.KindFileStat:
		return look.FileStat()
	case artifact.KindRansomNote:
		return look.Notes()
	}
	return copies(kind, scope, p.room)
}
