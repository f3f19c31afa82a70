package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/e2e/rig"
	"hozen/internal/envelope"
	"hozen/internal/netlab"
)

// why is what the ledger says about the demonstration's own acts.
const why = "demonstration (make run)"

// message is what the PC's user reports.
const message = "画面に「ファイルを暗号化した」と出ました。どうすればいいですか。"

// demo is one showing.
type demo struct {
	*screen
	nursery                     *rig.Nursery
	programs                    rig.Programs
	dir, logs, sockets, remove  string
	pc                          *rig.PracticePC // nil without root
	collector                   *rig.Collector
	agent                       *rig.Agent
	endpoint, fingerprint, page string
}

// show does everything up to the summary.
func (d *demo) show(ctx context.Context) error {
	d.title("保全  Hozen")
	for _, part := range []func(context.Context) error{d.makePC, d.startCollector, d.startAgent} {
		if err := part(ctx); err != nil {
			return d.broke(err)
		}
	}
	number, alerted, err := d.report(ctx)
	if err != nil {
		return d.broke(err)
	}
	a, err := d.await(ctx, number, alerted)
	if err != nil {
		return d.broke(err)
	}
	s, err := d.verify(ctx, a)
	if err != nil {
		return d.broke(err)
	}
	return d.summary(ctx, number, s)
}

// broke ends the running step on the screen.
func (d *demo) broke(err error) error {
	d.failed("")
	return err
}

// makePC makes the practice PC, where that is possible.
func (d *demo) makePC(ctx context.Context) error {
	d.step("練習用PC", "practice PC")
	if err := netlab.Available(); err != nil {
		why := "root ではないので、この端末そのものを使います（隔離はできません）/ not root: this machine itself, isolation needs root"
		if !errors.Is(err, fs.ErrPermission) {
			why = "この端末そのものを使います / this machine itself: " + err.Error()
		}
		d.did(why)
		return nil
	}
	pc, err := d.nursery.NewPracticePC(ctx, d.dir)
	if err != nil {
		return err
	}
	d.pc = pc
	err = rig.Until(ctx, "the practice PC's connections", func() (bool, error) {
		return pc.Moved(4) > 0 && (!pc.HasIPv6() || pc.Moved(6) > 0), nil
	})
	if err != nil {
		return err
	}
	d.did(strings.TrimSuffix(pc.Inside.V4.String()+"  "+pc.Inside.V6.String(), "  invalid IP"))
	return nil
}

func (d *demo) startCollector(ctx context.Context) error {
	d.step("コレクター", "collector")
	cfg := rig.CollectorConfig{
		Program: d.programs.Collector, Dir: filepath.Join(d.dir, "collector"), Log: filepath.Join(d.logs, "collector.log"),
		Agents: freeAddress("127.0.0.1", 7443), Console: freeAddress("127.0.0.1", 7480),
		Socket: filepath.Join(d.sockets, "collector.sock"),
		Flags:  []string{"--name", "Hozen デモ", "--owner-name", "担当ユーザー"},
	}
	if d.pc != nil {
		cfg.Agents = d.pc.Outside.At(4, 7443)
	}
	d.doing("準備しています / setting up")
	var err error
	if _, statErr := os.Stat(filepath.Join(cfg.Dir, "collector.toml")); statErr == nil {
		d.collector, err = d.nursery.Existing(cfg)
	} else {
		d.collector, err = d.makeCollector(ctx, cfg)
	}
	if err != nil {
		return err
	}
	if err := d.collector.Serve(ctx); err != nil {
		return err
	}
	var status struct {
		Console  string `json:"console"`
		CASHA256 string `json:"ca_sha256"`
	}
	if err := d.collector.Local().Call(ctx, "status", nil, &status); err != nil {
		return err
	}
	d.page, d.fingerprint = status.Console, status.CASHA256
	d.did(d.page)
	return nil
}

// makeCollector makes a new collector; what an interrupted start left goes away, and
// with it the agent that knew the old one.
func (d *demo) makeCollector(ctx context.Context, cfg rig.CollectorConfig) (*rig.Collector, error) {
	for _, old := range []string{cfg.Dir, filepath.Join(d.dir, "agent")} {
		if err := os.RemoveAll(old); err != nil {
			return nil, fmt.Errorf("remove what an interrupted start left: %w", err)
		}
	}
	c, err := d.nursery.Init(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(d.passwordFile(), []byte(c.OneTime+"\n"), 0o600); err != nil {
		return nil, fmt.Errorf("keep one-time password: %w", err)
	}
	return c, nil
}

func (d *demo) passwordFile() string { return filepath.Join(d.dir, "one-time-password") }

func (d *demo) startAgent(ctx context.Context) error {
	d.step("エージェント", "agent")
	dir := filepath.Join(d.dir, "agent")
	if d.pc != nil {
		// Each run has a new practice PC; that the last one was isolated says nothing of it.
		if err := os.RemoveAll(filepath.Join(dir, "isolation")); err != nil {
			return fmt.Errorf("forget the last practice PC: %w", err)
		}
	}
	cfg := rig.AgentConfig{
		Program: d.programs.Agent, Dir: dir, Log: filepath.Join(d.logs, "agent.log"), Socket: filepath.Join(d.sockets, "agent.sock"),
		Settings: fmt.Sprintf("collectors = [%q]\n\n[uplink]\nmin_backoff = \"100ms\"\nmax_backoff = \"2s\"\n", d.collector.Agents),
	}
	if d.pc != nil {
		cfg.Host = d.pc.PC
	}
	var err error
	if d.agent, err = d.nursery.Agent(cfg); err != nil {
		return err
	}
	if !d.agent.Enrolled() {
		d.doing("登録しています / enrolling")
		var token struct {
			Text string `json:"token"`
		}
		if err := d.glass().Call(ctx, "token.create", map[string]any{"auto": true, "note": "make run"}, &token); err != nil {
			return err
		}
		if err := d.agent.Enroll(ctx, token.Text); err != nil {
			return err
		}
	}
	if err := d.agent.Run(ctx); err != nil {
		return err
	}
	var e rig.Endpoint
	err = rig.Until(ctx, "the agent's connection", func() (bool, error) {
		s, err := d.agent.Status(ctx)
		d.endpoint = s.EndpointID
		return err == nil && s.Connected && d.glass().Call(ctx, "endpoint.show", map[string]string{"ref": s.EndpointID}, &e) == nil && e.Online, err
	}, d.agent.Proc, d.collector.Proc)
	if err != nil {
		return err
	}
	d.did(e.Hostname + "  mTLS 1.3  " + d.endpoint)
	return nil
}

func (d *demo) glass() *rig.Local { return d.collector.Local().BreakGlass(why) }

// report is the PC's user who says that something is wrong. It returns the incident
// and the moment.
func (d *demo) report(ctx context.Context) (number string, at time.Time, err error) {
	d.step("通報", "report")
	at = time.Now()
	number, err = d.agent.Report(ctx, message)
	if err != nil {
		return "", at, err
	}
	if number == "" {
		return "", at, errors.New("the collector did not answer the report in time")
	}
	d.did(d.paint("1", number) + "  " + message)
	return number, at, nil
}

// await follows the flash capture until the collector has accepted it.
func (d *demo) await(ctx context.Context, number string, since time.Time) (found rig.Acquisition, err error) {
	d.step("証拠取得", "flash capture")
	err = rig.Until(ctx, "the evidence", func() (bool, error) {
		if d.live {
			d.doing(strings.Join(d.parts(since), " "))
		}
		var list []rig.Acquisition
		err := d.glass().Call(ctx, "acquisition.list", map[string]string{"incident": number}, &list)
		for _, a := range list {
			if a.ReceivedAt.After(since) && a.Trigger == string(artifact.TriggerAlert) {
				found = a
				return true, nil
			}
		}
		return false, err
	}, d.agent.Proc, d.collector.Proc)
	if err != nil {
		return found, err
	}
	d.did(fmt.Sprintf("%d 点 / items, %d 件 / records, %.1f kB", found.Items, found.Records, float64(found.StoredBytes)/1000))
	return found, nil
}

// parts names what the running capture has taken, from the agent's own spool.
func (d *demo) parts(since time.Time) (kinds []string) {
	files, _ := filepath.Glob(filepath.Join(d.agent.Dir, "spool", "acq_*", artifact.ArtifactDir, "*.jsonl.zst*"))
	for _, f := range files {
		if fi, err := os.Stat(f); err == nil && fi.ModTime().After(since) {
			kinds = append(kinds, strings.TrimSuffix(strings.TrimSuffix(filepath.Base(f), envelope.Suffix), ".jsonl.zst"))
		}
	}
	return kinds
}

// freeAddress returns host and port, or another port when that one is taken.
func freeAddress(host string, port int) string {
	for _, p := range []int{port, 0} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(p)))
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	return net.JoinHostPort(host, strconv.Itoa(port)) // the collector will say what is wrong
}

func decodeFile(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("read %s: %w", filepath.Base(path), err)
	}
	return nil
}
