package e2e

import (
	"bufio"
	"encoding/json"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hozen/internal/e2e/rig"
	"hozen/internal/netlab"
	"hozen/internal/releasecode"
)

// TestReleasedByTelephone: the collector is out of reach, and somebody at the isolated PC
// gets its network back by a code that was read out to them. A slip and a wrong code are
// told; the collector hears of all of it when it is back.
func TestReleasedByTelephone(t *testing.T) {
	if err := netlab.Available(); err != nil {
		t.Skip(err)
	}
	ctx := within(t, patience)
	lab := rig.NewNursery()
	t.Cleanup(func() { lab.Close() })
	pc, err := lab.NewPracticePC(ctx, shortDir(t))
	must(t, err)
	t.Cleanup(func() { pc.Close() })
	s := newSystem(t, ctx, options{
		collector: rig.CollectorConfig{Agents: pc.Outside.At(4, 7443)},
		agent:     rig.AgentConfig{Host: pc.PC},
	})
	glass := s.collector.Glass()
	if cmd := s.order(t, ctx, "isolate", map[string]any{"isolation": map[string]any{"notice": "情報システム部です", "phone": "03-1234-5678"}}); cmd.Status != "done" {
		t.Fatalf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	still(t, pc)
	at := func(in, verb string, args ...string) rig.Result {
		t.Helper()
		r, err := s.agent.CLI(ctx, in, verb, args...)
		must(t, err)
		return r
	}
	status := func() (st struct {
		Observed, Source, Held, Phone string
		CodeNumber                    string `json:"code_number"`
		Trials                        []struct{ Name, Outcome string }
	}) {
		t.Helper()
		must(t, json.Unmarshal([]byte(at("", "isolation", "status", "--json").Stdout), &st))
		return st
	}
	if st := status(); st.Observed != "isolated" || st.Source != "agent" || st.Phone != "03-1234-5678" || st.CodeNumber == "" || len(st.Trials) == 0 {
		t.Errorf("at the PC it says %+v", st)
	}
	// On the telephone: the number that the PC shows, and the code of it.
	var paper struct{ Number, Code string }
	must(t, glass.Call(ctx, "endpoint.release_code", map[string]any{"ref": s.id, "number": status().CodeNumber, "reason": "電話で確認"}, &paper))
	r := at("", "isolation", "status", "--lang", "ja")
	t.Logf("at the PC:\n%s", r.Stdout)
	if r.Code != 0 || !strings.Contains(r.Stdout, paper.Number) && !strings.Contains(strings.ReplaceAll(r.Stdout, "-", ""), paper.Number) || strings.Contains(r.Stdout, "⟦") {
		t.Errorf("exit %d, number %s\n%s%s", r.Code, paper.Number, r.Stdout, r.Stderr)
	}

	// Without its collector it stays isolated; without its agent too, and that is said.
	s.collector.Proc.Kill()
	s.agent.Proc.Kill()
	if r := at("", "isolation", "status", "--lang", "en"); r.Code != 3 || !strings.Contains(r.Stdout, "The agent is not running") || !strings.Contains(r.Stdout, "isolated (read back") {
		t.Errorf("without an agent: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	must(t, s.agent.Run(ctx))
	still(t, pc)

	slip := []byte(strings.ReplaceAll(paper.Code, "-", ""))
	slip[7] = '0' + (slip[7]-'0'+1)%10
	if r := at(string(slip)+"\n", "release", "--lang", "en"); r.Code != 2 || !strings.Contains(r.Stderr, "Group 2") {
		t.Errorf("a slip: exit %d\n%s", r.Code, r.Stderr)
	}
	other := releasecode.New(releasecode.NewKey(), paper.Number).String()
	if r := at(other+"\n", "release", "--lang", "en"); r.Code != 6 || !strings.Contains(r.Stderr, "not the code of this PC") {
		t.Errorf("another PC's code: exit %d\n%s", r.Code, r.Stderr)
	}
	still(t, pc)
	r = at(paper.Code+"\n", "release", "--code", "--lang", "en")
	t.Logf("released:\n%s", r.Stdout)
	if r.Code != 0 || !strings.Contains(r.Stdout, "not isolated") {
		t.Fatalf("the code: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	flows(t, ctx, pc, 4)
	must(t, dials(pc, 4))
	if rules, err := (&guestPC{ctx: ctx, host: pc.PC}).rules(); err != nil || strings.Contains(rules, "hozen") {
		t.Errorf("rules are left: %v\n%s", err, rules)
	}
	if r := at(paper.Code+"\n", "release", "--lang", "en"); r.Code != 6 || !strings.Contains(r.Stderr, "nothing to release") {
		t.Errorf("a second time: exit %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}

	must(t, s.collector.Serve(ctx))
	s.awaitConnected(t, ctx)
	heard := func() map[string]bool {
		t.Helper()
		var events []struct{ Kind, By string }
		must(t, glass.Call(ctx, "endpoint.isolation_events", map[string]any{"ref": s.id}, &events))
		kinds := map[string]bool{}
		for _, e := range events {
			kinds[e.Kind] = strings.Contains(e.By, "pid ")
		}
		return kinds
	}
	must(t, rig.Until(ctx, "the collector to hear of both codes", func() (bool, error) {
		kinds := heard()
		return kinds["released_by_code"] && kinds["code_refused"], nil
	}))
	if e := s.endpoint(t, ctx); e.Isolation.Observed != "released" {
		t.Errorf("the collector says %+v", e.Isolation)
	}

	// Before it is uninstalled the agent releases and has told the collector when it says so.
	if cmd := s.order(t, ctx, "isolate", nil); cmd.Status != "done" {
		t.Fatalf("isolate ended as %s: %s", cmd.Status, cmd.Detail)
	}
	still(t, pc)
	var said struct {
		Error   string
		Release struct{ Told bool }
		Network struct{ Observed string }
	}
	must(t, json.Unmarshal(s.askAgent(t, `{"verb":"uninstall"}`), &said))
	if said.Error != "" || !said.Release.Told || said.Network.Observed != "released" || !heard()["released_by_uninstall"] {
		t.Errorf("before uninstalling: %+v, the collector heard %v", said, heard())
	}
	flows(t, ctx, pc, 4)
}

// askAgent sends one line to the agent's socket and returns the answer.
func (s *system) askAgent(t *testing.T, line string) []byte {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(s.agent.Dir, "agent.sock"))
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(time.Minute)))
	_, err = c.Write([]byte(line + "\n"))
	must(t, err)
	b, err := bufio.NewReader(c).ReadBytes('\n')
	must(t, err)
	return b
}
