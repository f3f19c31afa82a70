package rig

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"hozen/internal/netlab"
)

// AgentConfig says how to run an agent.
type AgentConfig struct {
	Program string       // file of hozen-agent
	Dir     string       // state folder, may hold an agent's state already
	Log     string       // file that gets what it logs
	Host    *netlab.Host // network namespace to live in; nil: this process's
	// Socket is the path of its local socket. Default: in Dir.
	Socket string
	// Settings is the text of its configuration file. Optional.
	Settings string
	Env      []string
}

// Agent is an agent in a folder; it runs between Run and Stop or Kill.
type Agent struct {
	AgentConfig
	Proc *Proc // the one that runs
	n    *Nursery
}

// Agent returns the agent of a state folder.
func (n *Nursery) Agent(cfg AgentConfig) (*Agent, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make state folder: %w", err)
	}
	if cfg.Settings != "" {
		if err := os.WriteFile(filepath.Join(cfg.Dir, "agent.toml"), []byte(cfg.Settings), 0o600); err != nil {
			return nil, fmt.Errorf("write settings: %w", err)
		}
	}
	return &Agent{AgentConfig: cfg, n: n}, nil
}

// CLI runs a verb of hozen-agent on the state folder.
func (a *Agent) CLI(ctx context.Context, stdin string, verb string, args ...string) (Result, error) {
	return a.n.Run(ctx, Spec{
		Path: a.Program, Args: append(a.flags(verb), args...), Host: a.Host,
		Env: append([]string{"LC_ALL=C.UTF-8"}, a.Env...),
	}, stdin)
}

func (a *Agent) flags(verb string) []string {
	args := []string{verb, "--state", a.Dir}
	if a.Socket != "" {
		args = append(args, "--socket", a.Socket)
	}
	return args
}

// Enrolled reports whether the agent has a certificate.
func (a *Agent) Enrolled() bool {
	_, err := os.Stat(filepath.Join(a.Dir, "identity", "identity.json"))
	return err == nil
}

// Enroll exchanges a token for a certificate.
func (a *Agent) Enroll(ctx context.Context, token string) error {
	r, err := a.CLI(ctx, token+"\n", "enroll", "--token-file", "-", "--timeout", "30s")
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("hozen-agent enroll: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return err
}

// Run starts the agent and waits until it answers at its socket.
func (a *Agent) Run(ctx context.Context, env ...string) error {
	args := a.flags("run")
	if a.Settings != "" {
		args = append(args, "--config", filepath.Join(a.Dir, "agent.toml"))
	}
	p, err := a.n.Start(Spec{Path: a.Program, Args: args, Log: a.Log, Host: a.Host, Env: append(env, a.Env...)})
	if err != nil {
		return err
	}
	a.Proc = p
	return Until(ctx, "the agent", func() (bool, error) {
		_, err := a.Status(ctx)
		return err == nil, err
	}, p)
}

// AgentStatus is what an agent says of itself.
type AgentStatus struct {
	EndpointID string `json:"endpoint_id"`
	Connected  bool   `json:"connected"`
	Problem    string `json:"problem"`
	Spool      struct {
		Waiting   int   `json:"waiting"`
		Received  int   `json:"received"`
		Refused   int   `json:"refused"`
		UsedBytes int64 `json:"used_bytes"`
		Full      bool  `json:"full"`
		Unsealed  bool  `json:"unsealed"`
	} `json:"spool"`
	Isolation    Isolation `json:"isolation"`
	UnsentAlerts int       `json:"unsent_alerts"`
}

// Status asks the running agent.
func (a *Agent) Status(ctx context.Context) (AgentStatus, error) {
	var s AgentStatus
	r, err := a.CLI(ctx, "", "status", "--json")
	if err != nil {
		return s, err
	}
	if r.Code != 0 {
		return s, fmt.Errorf("hozen-agent status: exit code %d\n%s", r.Code, r.Stderr)
	}
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		return s, fmt.Errorf("read answer of status: %w", err)
	}
	return s, nil
}

// Report tells the agent that something is wrong, as the PC's user does, and returns
// the incident's number, empty when the collector has not answered in time.
func (a *Agent) Report(ctx context.Context, message string) (string, error) {
	r, err := a.CLI(ctx, message, "report", "--json", "-")
	if err != nil {
		return "", err
	}
	if r.Code != 0 {
		return "", fmt.Errorf("hozen-agent report: exit code %d\n%s", r.Code, r.Stderr)
	}
	var said struct {
		IncidentNumber string `json:"incident_number"`
	}
	if err := json.Unmarshal([]byte(r.Stdout), &said); err != nil {
		return "", fmt.Errorf("read answer of report: %w", err)
	}
	return said.IncidentNumber, nil
}
