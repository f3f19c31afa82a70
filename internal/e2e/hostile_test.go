package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/rig"
)

// attack is one thing that nobody should send, and what must be said to it.
type attack struct {
	name string
	want string // regular expression
	do   func(ctx context.Context) (said string)
}

// leastAttacks is how many there must be, so that none gets lost unnoticed.
const leastAttacks = 50

// TestHostileInput sends to the real programs what is not allowed, through their
// configuration, their ports, their local sockets, the console's forms and the files
// of the spool. Each gets a clear answer; the rest is unharmed.
func TestHostileInput(t *testing.T) {
	ctx := within(t, 2*patience)
	s := newSystem(t, ctx, options{})
	owner, err := s.collector.SignIn(ctx)
	must(t, err)
	agent, collector := s.agent.Proc, s.collector.Proc
	n := 0
	for _, group := range []struct {
		name    string
		attacks []attack
	}{
		{"settings", s.settingsAttacks(t)},
		{"wire", s.wireAttacks(t, ctx)},
		{"sockets", s.socketAttacks()},
		{"console", s.consoleAttacks(t, ctx)},
	} {
		for _, a := range group.attacks {
			n++
			t.Run(group.name+"/"+a.name, func(t *testing.T) {
				ctx := within(t, 30*time.Second)
				if said := a.do(ctx); !regexp.MustCompile(a.want).MatchString(said) {
					t.Errorf("the answer is %.600q, want it to match %q", said, a.want)
				}
				for _, p := range []*rig.Proc{agent, collector} {
					if err := p.Ended(); err != nil {
						t.Fatal(err)
					}
				}
				var e rig.Endpoint
				must(t, owner.Call(ctx, "endpoint.show", map[string]string{"ref": s.id}, &e))
				if !e.Online {
					t.Error("the agent lost its connection")
				}
			})
		}
	}
	n += s.spoolAttacks(t, ctx)
	if n < leastAttacks {
		t.Errorf("%d attacks, want %d", n, leastAttacks)
	}
	var cmd rig.Command
	must(t, owner.Call(ctx, "command.order", map[string]string{"verb": "acquire", "endpoint": s.id, "reason": "test"}, &cmd))
	var waited struct {
		Command rig.Command `json:"command"`
	}
	must(t, owner.Call(ctx, "command.wait", map[string]any{"command_id": cmd.ID, "evidence": true}, &waited))
	if c := waited.Command; c.Status != "done" {
		t.Errorf("after all of it an order ends as %s: %s", c.Status, c.Detail)
	} else {
		s.verified(t, ctx, c.AcquisitionID)
	}
	s.clean(t, ctx)
}

// settingsAttacks start further programs with settings that make no sense.
func (s *system) settingsAttacks(t *testing.T) []attack {
	agent := func(name, text, want string) attack {
		return attack{"agent " + name, "^exit 2 .*agent.toml:" + want, func(ctx context.Context) string {
			dir, err := os.MkdirTemp(s.dir, "settings")
			must(t, err)
			file := filepath.Join(dir, "agent.toml")
			must(t, os.WriteFile(file, []byte(text), 0o600))
			return exited(s.Run(ctx, rig.Spec{Path: s.agent.Program, Args: []string{"run", "--state", dir, "--config", file}}, ""))
		}}
	}
	collector := func(name, change, want string) attack {
		return attack{"collector " + name, "^exit [1-9].*collector.toml:" + want, func(ctx context.Context) string {
			dir, err := os.MkdirTemp(s.dir, "settings")
			must(t, err)
			b, err := os.ReadFile(filepath.Join(s.collector.Dir, "collector.toml"))
			must(t, err)
			must(t, os.WriteFile(filepath.Join(dir, "collector.toml"), []byte("# first line\n"+change+string(b)), 0o600))
			return exited(s.Run(ctx, rig.Spec{Path: s.collector.Program, Args: []string{"--data", dir, "serve"}}, ""))
		}}
	}
	return []attack{
		agent("unknown key", "log_level = \"info\"\n[spool]\nmax_bites = 1\n", `3:1: unknown key "spool.max_bites"`),
		agent("wrong type", "collectors = 7\n", `1:14: `),
		agent("no unit", "[uplink]\nmin_backoff = 5\n", `.*uplink.min_backoff.*want a duration`),
		agent("not text", "log_level = \"\x00\"\n", `1:\d+: `),
		agent("huge", strings.Repeat("# nothing\n", 10_000), ` larger than 65536 bytes`),
		collector("unknown key", "naem = \"x\"\n", `2:1: there is no setting "naem"`),
		collector("twice", "name = \"x\"\n", `\d+:\d+: `),
		collector("wrong type", "addresses = 7\n", `\d+:\d+: `),
	}
}

// exited puts what a program said into one line.
func exited(r rig.Result, err error) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("exit %d %s", r.Code, strings.ReplaceAll(r.Stderr+r.Stdout, "\n", " "))
}

// socketAttacks speak to both programs at their local sockets.
func (s *system) socketAttacks() []attack {
	raw := func(name, socket, send, want string) attack {
		return attack{name, want, func(ctx context.Context) string { return exchange(ctx, "unix", socket, send) }}
	}
	agent, collector := filepath.Join(s.agent.Dir, "agent.sock"), filepath.Join(s.collector.Dir, "collector.sock")
	call := func(name, verb string, body any, client *rig.Local, want string) attack {
		return attack{"collector " + name, want, func(ctx context.Context) string {
			if err := client.Call(ctx, verb, body, nil); err != nil {
				return err.Error()
			}
			return "accepted"
		}}
	}
	return []attack{
		raw("agent garbage", agent, "\x16\x03\x01\xff\xfe\x00\n", `invalid.*not UTF-8`),
		raw("agent unknown verb", agent, `{"verb":"exec"}`+"\n", `invalid.*verb \\"exec\\" is not known`),
		raw("agent unknown field", agent, `{"verb":"report","message":"x","shell":"y"}`+"\n", `invalid.*unknown field`),
		raw("agent two requests", agent, `{"verb":"status"}{"verb":"status"}`+"\n", `invalid.*something follows`),
		raw("agent endless line", agent, strings.Repeat("A", 1<<20), `invalid.*request has more than`),
		raw("collector garbage", collector, "\x16\x03\x01\xff\xfe\x00\r\n\r\n", `400 Bad Request`),
		call("unknown verb", "system.exec", nil, s.collector.Glass(), `not_found: .*no verb`),
		call("path for a verb", "../../etc/passwd", nil, s.collector.Glass(), `not_found|404|301`),
		call("unknown field", "token.create", map[string]any{"auto": true, "admin": true}, s.collector.Glass(), `invalid: .*unknown field "admin"`),
		call("wrong type", "token.create", map[string]any{"max_uses": "many"}, s.collector.Glass(), `invalid: .*cannot unmarshal string`),
		call("huge", "incident.open", map[string]any{"title": strings.Repeat("A", 2<<20)}, s.collector.Glass(), `invalid: .*too large`),
		call("nobody", "endpoint.list", nil, s.collector.Local(), `sign_in: `),
		call("isolate what is not there", "command.order", map[string]any{"verb": "isolate", "endpoint": "end_../../x", "reason": "x"}, s.collector.Glass(), `(not_found|invalid): `),
		call("unknown order", "command.order", map[string]any{"verb": "exec", "endpoint": s.id, "reason": "x"}, s.collector.Glass(), `invalid: .*verb`),
	}
}

// exchange sends bytes and returns what comes back until the other end closes or has
// said a whole line.
func exchange(ctx context.Context, network, address, send string) string {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return err.Error()
		}
	}
	go func() { _, _ = io.WriteString(c, send) }() // it may be cut off in the middle, on purpose
	b, err := io.ReadAll(io.LimitReader(c, 64<<10))
	if len(b) > 2 && b[0] == 0x15 && b[1] == 0x03 { // RFC 8446, 5.1: an alert
		return "TLS alert"
	}
	if err != nil && len(b) == 0 {
		return "closed: " + err.Error()
	}
	return "closed after " + strings.ReplaceAll(string(b), "\n", " ")
}
