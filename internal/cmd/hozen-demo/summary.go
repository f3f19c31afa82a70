package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
	"hozen/internal/e2e/rig"
)

// shown is what the summary says of an acquisition.
type shown struct {
	manifest    artifact.Manifest
	sha256      string
	folder      string
	connections int // TCP and UDP sockets
}

// verify copies the evidence out and lets hozen-verify judge it.
func (d *demo) verify(ctx context.Context, a rig.Acquisition) (shown, error) {
	d.step("検証", "verification")
	s := shown{sha256: a.ManifestSHA256, folder: filepath.Join(d.dir, "evidence", a.ID)}
	if err := os.MkdirAll(filepath.Dir(s.folder), 0o700); err != nil {
		return s, fmt.Errorf("make folder: %w", err)
	}
	if err := os.RemoveAll(s.folder); err != nil {
		return s, fmt.Errorf("remove an older copy: %w", err)
	}
	if err := d.collector.Download(ctx, a.ID, s.folder); err != nil {
		return s, err
	}
	r, err := d.nursery.Run(ctx, rig.Spec{Path: d.programs.Verify, Args: []string{"--ca-fingerprint", d.fingerprint, s.folder}}, "")
	if err != nil {
		return s, err
	}
	if r.Code != 0 {
		return s, fmt.Errorf("hozen-verify: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	if err := decodeFile(filepath.Join(s.folder, artifact.ManifestFile), &s.manifest); err != nil {
		return s, err
	}
	if s.connections, err = connections(filepath.Join(s.folder, artifact.ArtifactDir, string(artifact.KindNetConn)+".jsonl.zst")); err != nil {
		return s, err
	}
	d.did("すべて一致（署名・SHA-256・台帳の受領）/ verified: signature, SHA-256, receipt")
	return s, nil
}

// connections counts the TCP and UDP sockets of an artifact.
func connections(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("open evidence: %w", err)
	}
	defer f.Close()
	z, err := zstd.NewReader(f)
	if err != nil {
		return 0, fmt.Errorf("open evidence: %w", err)
	}
	defer z.Close()
	for dec := json.NewDecoder(bufio.NewReader(z)); dec.More(); {
		var s record.Socket
		if err := dec.Decode(&s); err != nil {
			return 0, fmt.Errorf("read evidence: %w", err)
		}
		if s.Proto == record.ProtoTCP || s.Proto == record.ProtoUDP {
			n++
		}
	}
	return n, nil
}

// summary says what was achieved and how to go on.
func (d *demo) summary(ctx context.Context, number string, s shown) error {
	count := func(k artifact.Kind) string {
		for _, p := range s.manifest.Probes {
			if p.Kind == k {
				return fmt.Sprintf("%d", p.Records)
			}
		}
		return "-"
	}
	m := s.manifest
	d.title("まとめ / Summary")
	d.row("インシデント", "incident", number)
	d.row("プロセス", "processes", count(artifact.KindProcess))
	d.row("通信", "connections", fmt.Sprintf("%d  (ソケット / sockets %s)", s.connections, count(artifact.KindNetConn)))
	d.row("セッション", "sessions", count(artifact.KindSession))
	d.row("取得にかかった時間", "seconds", fmt.Sprintf("%.2f", m.FinishedAt.Wall.Sub(m.StartedAt.Wall).Seconds()))
	whole, unread := outcome(m)
	d.row("取得結果", "outcome", whole)
	for _, line := range unread {
		d.row("", "", line)
	}
	d.row("マニフェスト", "manifest SHA-256", s.sha256)
	d.row("検証", "verification", d.paint("32", "検証済み / verified")+"  hozen-verify --ca-fingerprint "+d.fingerprint[:16]+"…")
	d.row("証拠の写し", "copy of the evidence", relative(s.folder))
	return d.door(ctx)
}

// outcome says in words how whole the evidence is, and what could not be read and
// why: nothing there is no fault, and absence is evidence too.
func outcome(m artifact.Manifest) (whole string, unread []string) {
	whole = "すべて取得できました / everything was taken"
	for _, p := range m.Probes {
		if p.Outcome == artifact.Complete || p.Outcome == artifact.Empty {
			continue
		}
		whole = "取得できました。ごく一部は読めず、そのことも証拠に記録しています"
		why := string(p.Outcome)
		switch {
		case p.Skipped > 0 && strings.HasSuffix(p.Detail, fs.ErrPermission.Error()):
			why = fmt.Sprintf("%d 件は OS が読むことを許しませんでした / %d refused by the system", p.Skipped, p.Skipped)
		case p.Skipped > 0:
			why = fmt.Sprintf("%d 件を読めませんでした / %d not readable", p.Skipped, p.Skipped)
		}
		// One protected process is missed by several probes: that is one line.
		if i := slices.IndexFunc(unread, func(l string) bool { return strings.HasSuffix(l, ": "+why) }); i >= 0 {
			unread[i] = strings.TrimSuffix(unread[i], ": "+why) + ", " + string(p.Kind) + ": " + why
		} else {
			unread = append(unread, string(p.Kind)+": "+why)
		}
	}
	if len(unread) > 0 {
		unread = append([]string{"taken; a little could not be read, which the evidence records too"}, unread...)
	}
	return whole, unread
}

// door says where the console is and how to get in.
func (d *demo) door(ctx context.Context) error {
	var people []struct {
		Name       string `json:"name"`
		MustChange bool   `json:"must_change_password"`
	}
	if err := d.glass().Call(ctx, "operator.list", nil, &people); err != nil {
		return err
	}
	password := "（前に決めたもの / the one that you chose）"
	for _, p := range people {
		if b, err := os.ReadFile(d.passwordFile()); err == nil && p.Name == rig.Owner && p.MustChange {
			password = d.paint("1", strings.TrimSpace(string(b))) + "  （一度だけ使えます / works once）"
		}
	}
	d.title("画面 / Console")
	d.row("アドレス", "address", d.paint("1", d.page))
	d.row("サインイン名", "sign-in name", d.paint("1", rig.Owner))
	d.row("パスワード", "password", password)
	d.line("")
	if d.pc != nil {
		d.line("「端末」を開いて「隔離して保全」を押してみてください。切れるのは練習用PCの通信だけです。")
		d.line("Open 端末 (endpoints) and press 「隔離して保全」: only the practice PC's network is cut.")
	} else {
		d.line("root で実行すると、練習用PCの「隔離して保全」を試せます。")
		d.line("Run it as root to try 「隔離して保全」 on a practice PC.")
	}
	d.line("")
	return nil
}

// linger keeps everything running until the person ends it, and shows what happens
// to the practice PC's connections.
func (d *demo) linger(ctx context.Context) {
	d.line("Ctrl-C で終了します。 / Ctrl-C ends it.")
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	var before [2]int64
	state := ""
	for {
		select {
		case <-ctx.Done():
			d.line("\n  終了しています… / stopping…")
			return
		case <-d.agent.Proc.Done():
			d.line(d.paint("31", "エージェントが止まりました。 / The agent has ended: ") + relative(d.agent.Log))
			return
		case <-d.collector.Proc.Done():
			d.line(d.paint("31", "コレクターが止まりました。 / The collector has ended: ") + relative(d.collector.Log))
			return
		case <-tick.C:
		}
		if d.pc == nil {
			continue
		}
		now := [2]int64{d.pc.Moved(4), d.pc.Moved(6)}
		moving := now[0] > before[0] || now[1] > before[1]
		before = now
		next := "止まっています / stopped"
		if moving {
			next = "流れています / flowing"
		}
		if next != state {
			state = next
			d.line(d.paint("2", time.Now().Format("15:04:05")) + "  練習用PCの通信 / practice PC's connections: " + d.paint("1", state))
		}
	}
}

// releaseIfIsolated gives the practice PC's network back before it goes away.
func (d *demo) releaseIfIsolated(ctx context.Context) error {
	var e rig.Endpoint
	ref := map[string]string{"ref": d.endpoint}
	if err := d.glass().Call(ctx, "endpoint.show", ref, &e); err != nil || e.Isolation.Observed != "isolated" && e.Isolation.Desired != "isolated" {
		return nil // a collector that is gone can't be asked, and nothing outlives the namespace
	}
	d.line("練習用PCの隔離を解除しています… / releasing the practice PC…")
	var cmd rig.Command
	order := map[string]string{"verb": "release", "endpoint": d.endpoint, "reason": "end of the demonstration"}
	if err := d.glass().Call(ctx, "command.order", order, &cmd); err != nil {
		return err
	}
	return d.glass().Call(ctx, "command.wait", map[string]any{"command_id": cmd.ID}, nil)
}

// relative shortens a path for the eye.
func relative(path string) string {
	here, err := os.Getwd()
	if err != nil {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && !strings.HasPrefix(short, "..") {
		return short
	}
	return path
}
