package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"hozen/agent/internal/localapi"
	"hozen/agent/internal/osservice"
	"hozen/agent/internal/removal"
	"hozen/internal/durable"
	"hozen/internal/winapi/ancestry"
	"hozen/internal/winapi/folder"
	"hozen/internal/winapi/winboot"
)

// keptFolder is beside the folder of state; what is in it outlives the agent.
const keptFolder = "unsent-evidence"

// sendRest has the agent that goes away deliver what it still has.
func (c *command) sendRest(ctx context.Context) {
	socket := c.socketPath()
	if _, err := localapi.Do(ctx, socket, localapi.Request{Verb: localapi.VerbWake}, nil); err != nil {
		return // it is not there to send anything
	}
	left, err := removal.AwaitSent(ctx, func(ctx context.Context) (removal.Unsent, error) {
		r, err := localapi.Do(ctx, socket, localapi.Request{Verb: localapi.VerbStatus}, nil)
		if err != nil || r.Status == nil {
			return removal.Unsent{}, errors.Join(err, errNoStatus)
		}
		s := r.Status
		if s.EndpointID == "" { // it has no collector
			return removal.Unsent{}, nil
		}
		return removal.Unsent{Connected: s.Connected, Items: s.Spool.Waiting + s.UnsentAlerts + s.UnsentResults}, nil
	})
	if err == nil && left.Items > 0 {
		c.say("service.unsent", "n", strconv.Itoa(left.Items))
	}
}

var errNoStatus = errors.New("no status was told")

// clear takes away keys, settings and state of an agent that was uninstalled, and tells of
// the evidence that stays.
func (c *command) clear(ctx context.Context, everything bool) int {
	if err := c.absolute(); err != nil {
		return c.failed(err)
	}
	if started, err := ancestry.Names(2); err == nil && removal.ForUpgrade(started) {
		c.say("service.clear.upgrade")
		return exitOK
	}
	state := c.folder()
	cfg := removal.Config{Home: filepath.Dir(state), State: filepath.Base(state), Kept: keptFolder, Everything: everything, Log: newLog(c.std.err, slog.LevelError, true)}
	if state == defaultState() {
		cfg.Also = []string{filepath.Base(defaultConfig())}
	}
	kept, err := takeAway(state, cfg)
	place := filepath.Join(cfg.Home, keptFolder)
	log := newLog(c.std.err, slog.LevelInfo, true)
	if len(kept) > 0 {
		log.WarnContext(ctx, "the agent is uninstalled; evidence and reports that the collector has not confirmed stay on this PC",
			slog.String("folder", place), slog.Int("things", len(kept)), slog.Any("names", kept))
		c.say("service.clear.kept", "n", strconv.Itoa(len(kept)), "path", place)
	}
	if err != nil {
		log.ErrorContext(ctx, "something of the uninstalled agent is left", slog.Any("error", err))
		return c.failed(err)
	}
	if len(kept) == 0 {
		log.InfoContext(ctx, "the agent is uninstalled; its keys, settings and evidence are gone from this PC", slog.Bool("unconfirmed_too", everything))
	}
	c.say("service.clear.done")
	return exitOK
}

// takeAway checks that this may be done, and does it.
func takeAway(state string, cfg removal.Config) (kept []string, err error) {
	if !folder.Administrator() {
		return nil, osservice.ErrNeedsRoot
	}
	if st, err := osservice.Status(); err != nil || st == osservice.Running {
		return nil, errors.Join(err, errors.New("the service still runs: stop it first"))
	}
	if err := removal.Check(state); err != nil {
		return nil, err
	}
	// Nobody else may have a hand in what is moved and deleted.
	if _, err := guardState(state); err != nil {
		return nil, err
	}
	place := filepath.Join(cfg.Home, cfg.Kept)
	if !cfg.Everything {
		if _, err := folder.Take(place, folder.Closed); err != nil {
			return nil, err
		}
	}
	kept, err = removal.Clear(cfg)
	err = errors.Join(err, winboot.Forget())
	if len(kept) > 0 {
		err = errors.Join(err, durable.WriteFile(filepath.Join(place, "README.txt"), []byte(readme), 0o600))
	} else {
		err = errors.Join(err, removeEmpty(place))
	}
	return kept, errors.Join(err, removeEmpty(cfg.Home))
}

// removeEmpty removes a folder if there is nothing in it.
func removeEmpty(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(list) > 0 {
		return nil
	}
	if err == nil {
		err = os.Remove(dir)
	}
	if err != nil {
		return fmt.Errorf("remove empty folder: %w", err)
	}
	return nil
}

// readme is put beside the evidence that stays: whoever finds it may not know of the agent.
const readme = "\ufeff" + `Hozen: コレクターが受け取っていない証拠と通報です / evidence and reports that no collector has received` + "\r\n\r\n" +
	`エージェントをアンインストールしたときに、まだ送れていなかったものです。acq_ で始まるフォルダーが一回分の証拠取得です。` + "\r\n" +
	`その中に manifest.json.sig がなければ、途中で終わった証拠取得です。署名がなく、できた分だけが入っています。` + "\r\n" +
	`journal- で始まるフォルダーには、送れなかった通報や指示の結果が入っています（journal は文字のファイルです）。` + "\r\n" +
	`そのまま写しを取り、インシデントの担当者に渡してください。.age で終わるファイルは、コレクターの証拠の鍵で開けます。` + "\r\n" +
	`要らないと担当者が決めるまで、消さないでください。個人の情報が入っていることがあります。` + "\r\n\r\n" +
	`This could not be sent before the agent was uninstalled. Each folder whose name begins with acq_` + "\r\n" +
	`is one acquisition; without manifest.json.sig in it, it was interrupted: it is not signed and holds what there was.` + "\r\n" +
	`Folders whose names begin with journal- hold reports and results of commands that were not sent (journal is a text file).` + "\r\n" +
	`Copy it as it is and hand it to whoever handles the incident. The collector's evidence keys open files` + "\r\n" +
	`whose names end in .age.` + "\r\n" +
	`Do not delete it before they say so. It may hold personal data.` + "\r\n"
