package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Programs are the files of one build.
type Programs struct {
	Agent, Collector, Verify string
}

// In returns the programs that lie in a folder.
func In(dir string) Programs {
	return Programs{filepath.Join(dir, "hozen-agent"), filepath.Join(dir, "hozen-collector"), filepath.Join(dir, "hozen-verify")}
}

// small are the packages that the agent has without inlining: nothing of them is in the
// way of a capture. The Makefile lists the same.
const small = "google.golang.org/... golang.org/x/net/... golang.org/x/mod/... golang.org/x/text/... github.com/shirou/... github.com/godbus/... github.com/pelletier/... net net/http/... crypto/tls crypto/x509/... encoding/asn1 encoding/json math/big regexp/... log/slog/... fmt vendor/... hozen/agent/internal/isolate/... hozen/agent/internal/probe/autostart hozen/agent/internal/probe/bodyfile hozen/agent/internal/probe/bpf hozen/agent/internal/probe/dnscache hozen/agent/internal/probe/facts hozen/agent/internal/probe/filecopy hozen/agent/internal/probe/hostinfo hozen/agent/internal/probe/kernlog hozen/agent/internal/probe/keyring hozen/agent/internal/probe/kmod hozen/agent/internal/probe/login hozen/agent/internal/probe/namespace hozen/agent/internal/probe/netconfig hozen/agent/internal/probe/netfilter hozen/agent/internal/probe/pkgcheck hozen/agent/internal/probe/ransom hozen/agent/internal/probe/security hozen/agent/internal/probe/session hozen/agent/internal/probe/shared hozen/agent/internal/probe/storage hozen/agent/internal/probe/sysctl hozen/agent/internal/probe/touch hozen/agent/internal/probe/usb filippo.io/age/... hozen/agent hozen/agent/internal/bootverdict hozen/agent/internal/config hozen/agent/internal/identity hozen/agent/internal/kit hozen/agent/internal/localapi hozen/agent/internal/logind hozen/agent/internal/msgbus hozen/agent/internal/osservice/... hozen/agent/internal/shutdown hozen/agent/internal/uplink/... hozen/agent/internal/witness hozen/internal/checkpoint hozen/internal/custody/... hozen/internal/envelope hozen/internal/i18n hozen/internal/pki hozen/internal/usbkit hozen/proto/... github.com/mdlayher/... context time github.com/kardianos/... reflect mime/... os/exec net/url net/textproto crypto/ecdsa crypto/rsa crypto/ed25519 crypto/hpke crypto/elliptic runtime/pprof log flag compress/flate compress/gzip"

// AgentFlags are the flags of `go build` with which the agent is built, with further build
// tags.
func AgentFlags(tags ...string) []string {
	list := flags("grpcnotrace", tags)
	for _, p := range strings.Fields(small) {
		list = append(list, "-gcflags="+p+"=-l")
	}
	return list
}

// flags are those of every program.
func flags(tag string, more []string) []string {
	return []string{"-trimpath", "-ldflags=-s -w -funcalign=4", "-tags", strings.Join(append([]string{tag}, more...), ",")}
}

// Build builds the programs of the tree at root into dir as the Makefile does, with
// further build tags.
func Build(ctx context.Context, root, dir string, tags ...string) (Programs, error) {
	p := In(dir)
	for _, b := range []struct {
		out, pkg string
		flags    []string
	}{
		{p.Agent, "./agent", AgentFlags(tags...)},
		{p.Collector, "./collector", flags("", tags)},
		{p.Verify, "./internal/cmd/hozen-verify", flags("", tags)},
	} {
		cmd := exec.CommandContext(ctx, "go", append(append([]string{"build"}, b.flags...), "-o", b.out, b.pkg)...)
		cmd.Dir = root
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("build %s: %w\n%s", b.pkg, err, out)
		}
	}
	return p, nil
}
