# Hozen: the only entry point. Needs Go 1.26 and make; `make help` lists what there is.
GO   ?= go
BIN  := .build/bin

VERSION := $(patsubst v%,%,$(or $(shell git describe --tags --match 'v*' --dirty 2>/dev/null),0.0.0-dev))
COMMIT  := $(or $(shell git describe --always --dirty --exclude '*' 2>/dev/null),unknown)
BUILT   := $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)
EPOCH   := $(or $(shell git log -1 --format=%ct 2>/dev/null),0)
# A build between two releases must be newer than the first of them to dpkg and rpm.
PKGVERSION := $(shell echo '$(VERSION)' | sed -E 's/-([0-9]+)-g/+\1.g/; s/^([0-9.]+)-dirty$$/\1+dirty/; s/-dirty$$/.dirty/')
PACKAGES   := .build/packages
WINDOWS    := $(BIN)/windows-amd64
# Windows compares four numbers.
WINVERSION := $(shell echo '$(VERSION)' | sed -E 's/^([0-9]+\.[0-9]+\.[0-9]+).*/\1.0/')
SIGN        = osslsigncode sign -certs '$(CERT)' -key '$(KEY)' -n Hozen -h sha256 $(SIGNFLAGS) -in $(1) -out $(1).signed >/dev/null && mv $(1).signed $(1)
INFO    := hozen/internal/buildinfo
# Functions need no 32-byte slots, and what no capture waits for need not be inlined: 830 KB less agent
# (internal/docs/design/testing.md says what else was tried).
SMALL   := google.golang.org/... golang.org/x/net/... golang.org/x/mod/... golang.org/x/text/... github.com/shirou/... github.com/godbus/... github.com/pelletier/... net net/http/... crypto/tls crypto/x509/... encoding/asn1 encoding/json math/big regexp/... log/slog/... fmt vendor/... hozen/agent/internal/isolate/... hozen/agent/internal/probe/autostart hozen/agent/internal/probe/bodyfile hozen/agent/internal/probe/bpf hozen/agent/internal/probe/dnscache hozen/agent/internal/probe/facts hozen/agent/internal/probe/filecopy hozen/agent/internal/probe/hostinfo hozen/agent/internal/probe/kernlog hozen/agent/internal/probe/keyring hozen/agent/internal/probe/kmod hozen/agent/internal/probe/login hozen/agent/internal/probe/namespace hozen/agent/internal/probe/netconfig hozen/agent/internal/probe/netfilter hozen/agent/internal/probe/pkgcheck hozen/agent/internal/probe/ransom hozen/agent/internal/probe/security hozen/agent/internal/probe/session hozen/agent/internal/probe/shared hozen/agent/internal/probe/storage hozen/agent/internal/probe/sysctl hozen/agent/internal/probe/touch hozen/agent/internal/probe/usb filippo.io/age/... hozen/agent hozen/agent/internal/bootverdict hozen/agent/internal/config hozen/agent/internal/identity hozen/agent/internal/kit hozen/agent/internal/localapi hozen/agent/internal/logind hozen/agent/internal/msgbus hozen/agent/internal/osservice/... hozen/agent/internal/shutdown hozen/agent/internal/uplink/... hozen/agent/internal/witness hozen/internal/checkpoint hozen/internal/custody/... hozen/internal/envelope hozen/internal/i18n hozen/internal/pki hozen/internal/usbkit hozen/proto/... github.com/mdlayher/... context time github.com/kardianos/... reflect mime/... os/exec net/url net/textproto crypto/ecdsa crypto/rsa crypto/ed25519 crypto/hpke crypto/elliptic runtime/pprof log flag compress/flate compress/gzip
LDFLAGS := -s -w -funcalign=4 -X $(INFO).version=$(VERSION) -X $(INFO).commit=$(COMMIT) -X $(INFO).built=$(BUILT)
GOBUILD  = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)'
GOAGENT  = $(GOBUILD) -tags grpcnotrace $(SMALL:%=-gcflags=%=-l)
CHECK    = $(GOBUILD) -o $(BIN)/hozen-check ./internal/cmd/hozen-check && exec $(BIN)/hozen-check
TOOLS   := $(BIN)/buf $(BIN)/staticcheck
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Where the walks through the console in a real browser keep a picture of each page.
export HOZEN_WALK_SHOTS ?= $(CURDIR)/.build/walks

.DEFAULT_GOAL := help
.PHONY: help build run test check wine packages packages-linux packages-windows packages-windows-agent packages-windows-collector sign bench soak fuzz generate clean

help: ## This list
	@echo 'Hozen (保全): make TARGET [VARIABLE=value]'; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' Makefile

build: ## The three programs, into .build/bin
	@$(GOAGENT) -o $(BIN)/hozen-agent ./agent
	@$(GOBUILD) -o $(BIN)/hozen-collector ./collector
	@$(GOBUILD) -o $(BIN)/hozen-verify ./internal/cmd/hozen-verify

run: build ## See it work on this machine: collector, agent, an incident, verified evidence (ONCE=1: then stop)
	@$(GOBUILD) -o $(BIN)/hozen-demo ./internal/cmd/hozen-demo
	@exec $(BIN)/hozen-demo -bin $(BIN) -dir .run $(if $(ONCE),-once)

test: $(TOOLS) ## Everything that can be checked here, what it needs installed first (ONLY=regexp of steps)
	@$(CHECK) -only '$(ONLY)' test

check: $(TOOLS) ## The static part of `make test`: formats, vet, lints, imports, generated code, cross-builds
	@$(CHECK) -only '$(ONLY)' static

wine: ## A command with Windows programs at hand, under Wine (ARGS='go test ./agent/internal/spool')
	@$(GOBUILD) -o $(BIN)/hozen-wine ./internal/cmd/hozen-wine
	@exec $(BIN)/hozen-wine $(ARGS)

packages: ## The agent's deb, rpm and MSI, and the collector for Windows, into .build/packages
	@rm -rf $(PACKAGES) && $(MAKE) --no-print-directory packages-linux packages-windows

packages-linux: $(BIN)/nfpm
	@mkdir -p $(PACKAGES)
	@set -e; for arch in amd64 arm64; do \
		GOOS=linux GOARCH=$$arch $(GOAGENT) -o $(BIN)/linux-$$arch/hozen-agent ./agent; \
		for kind in deb rpm; do HOZEN_ARCH=$$arch HOZEN_VERSION='$(PKGVERSION)' HOZEN_BIN=$(BIN)/linux-$$arch/hozen-agent \
			SOURCE_DATE_EPOCH=$(EPOCH) nfpm package -f agent/packaging/nfpm.yaml -p $$kind -t $(PACKAGES)/; done; done

packages-windows: packages-windows-agent packages-windows-collector

packages-windows-collector: $(BIN)/go-winres
	@mkdir -p $(PACKAGES)
	@GOOS=windows GOARCH=amd64 $(GOBUILD) -o $(PACKAGES)/hozen-collector.exe ./collector
	@go-winres patch --no-backup --in collector/packaging/windows/winres.json --product-version '$(PKGVERSION)' --file-version '$(WINVERSION)' $(PACKAGES)/hozen-collector.exe
	@$(if $(KEY),$(call SIGN,$(PACKAGES)/hozen-collector.exe))

packages-windows-agent: $(BIN)/go-winres
	@mkdir -p $(PACKAGES)
	@GOOS=windows GOARCH=amd64 $(GOAGENT) -o $(WINDOWS)/hozen-agent.exe ./agent
	@go-winres patch --no-backup --in agent/packaging/windows/winres.json --product-version '$(PKGVERSION)' --file-version '$(WINVERSION)' $(WINDOWS)/hozen-agent.exe
	@$(if $(KEY),$(call SIGN,$(WINDOWS)/hozen-agent.exe))
	@$(GOBUILD) -o $(BIN)/hozen-msi ./internal/cmd/hozen-msi && $(BIN)/hozen-msi -agent $(WINDOWS)/hozen-agent.exe -version '$(PKGVERSION)' -out $(PACKAGES)
	@$(if $(KEY),set -e; for f in $(PACKAGES)/*.msi; do $(call SIGN,$$f); done)

sign: ## The packages, with what is for Windows signed: agent, MSI, collector (KEY=key.pem CERT=certificate.pem [SIGNFLAGS='-ts URL'])
	@test -n '$(KEY)' -a -n '$(CERT)' || { echo "make sign KEY=key.pem CERT=certificate.pem [SIGNFLAGS='-ts URL']"; exit 2; }
	@$(MAKE) --no-print-directory packages

bench: build ## Every figure that is promised, against its bar (ONLY=regexp of names, QUICK=1: under 2 minutes)
	@$(GOBUILD) -o $(BIN)/hozen-bench ./internal/cmd/hozen-bench
	@exec $(BIN)/hozen-bench -bin $(BIN) -only '$(ONLY)' $(if $(QUICK),-quick)

soak: $(TOOLS) ## The repetitions: kills by the hundred, long fuzzing (hours)
	@$(CHECK) -only '$(ONLY)' -fuzztime $(or $(FUZZTIME),10m) soak

fuzz: ## Every fuzz target for a while (FUZZTIME=30s)
	@$(CHECK) -only '$(ONLY)' -fuzztime $(or $(FUZZTIME),30s) fuzz

generate: $(BIN)/buf ## Go code and the wire's descriptor image from the .proto files
	@test ! -f proto/hozen.binpb || buf breaking proto --against proto/hozen.binpb
	@buf generate --template proto/buf.gen.yaml
	@buf build proto --exclude-source-info -o proto/hozen.binpb

clean: ## Remove what was built and the demonstration's data
	rm -rf .build .run

# Tools are pinned by internal/tools/go.mod; buf takes minutes the first time.
$(BIN)/buf: PKG = github.com/bufbuild/buf/cmd/buf
$(BIN)/staticcheck: PKG = honnef.co/go/tools/cmd/staticcheck
$(BIN)/nfpm: internal/tools/nfpm/go.mod
	@mkdir -p $(BIN) && cd internal/tools/nfpm && GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm && touch $(CURDIR)/$@
$(BIN)/go-winres: internal/tools/winres/go.mod
	@mkdir -p $(BIN) && cd internal/tools/winres && GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/tc-hib/go-winres && touch $(CURDIR)/$@
$(TOOLS): internal/tools/go.mod
	@mkdir -p $(BIN) && cd internal/tools && GOBIN=$(CURDIR)/$(BIN) $(GO) install $(PKG) && touch $(CURDIR)/$@
