package export

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
)

//go:embed texts
var texts embed.FS

// words are the few words of the README in one language.
type words struct {
	all, hosts, profiles, leftHosts, leftAcquisitions, nothingLeft  string
	endpoint, clock, clockUnknown, acquisition, complete, gap, none string
	noCheckpoint, checkpoint, notDecoded, records, disposed         string
	files, file, incidents, incident                                string
	uploads, upload, uploadGone                                     string
	outcomes                                                        map[string]string
	relations                                                       map[Relation]string
}

func wordsOf(lang string) words {
	if lang == "ja" {
		return words{
			all: "このインシデントのすべての端末とすべての取得プロファイル", hosts: "端末: ", profiles: "取得プロファイル: ",
			leftHosts: "含めていない端末: ", leftAcquisitions: "含めていない証拠取得: %d 件", nothingLeft: "範囲の指定で外したものはありません。",
			endpoint: "端末 %s（%s）", clock: "  時計のずれ: %s（%s に測定）", clockUnknown: "  時計のずれ: 測定なし",
			acquisition: "  証拠取得 %s", complete: "    取得できなかったもの: なし", gap: "    取得できなかったもの: %s = %s%s", none: "証拠取得はありません。",
			noCheckpoint: "署名付きの検証点（チェックポイント）は、作成時にはありませんでした。",
			checkpoint:   "署名付きの検証点（チェックポイント）が data/custody/checkpoint.txt にあります。署名を確かめる鍵（別の経路でも確かめてください）:",
			notDecoded:   "    読みやすい写しなし: %s（%s）", records: "件", disposed: "    中身は廃棄されました（台帳の記録 %d）。このパッケージには署名と受領書だけがあります",
			uploads: "人が送ったファイル（このパッケージに入っています。括弧の中は送られたときの名前）:", upload: "  %s  data/%s（%s）  %d バイト  SHA-256 %s",
			uploadGone: "  %s（%s）  中身は廃棄されました（台帳の記録 %d）。  %d バイト  SHA-256 %s",
			files:      "人が送ったファイル。中身はこのパッケージに入っていません。1 件ずつ別に渡されます:", file: "  %s  %s  %d バイト  SHA-256 %s",
			incidents: "関係する別のインシデント。その証拠はこのパッケージに入っていません。それぞれのパッケージにあります:", incident: "  %s（%s）  証拠取得 %d 件、送られたファイル %d 件",
			relations: map[Relation]string{MergedFrom: "このインシデントに統合されたもの", MergedInto: "このインシデントの統合先", SplitFrom: "このインシデントの分割元。分ける前に端末から取得した証拠は、分割元のパッケージにあります",
				SplitInto: "このインシデントから分けたもの。分ける前に端末から取得した証拠は、このインシデントに残っています"},
			outcomes: map[string]string{"complete": "完了", "partial": "一部のみ", "empty": "該当なし", "unsupported": "このシステムでは取得不可", "denied": "システムが拒否", "timed_out": "時間切れ", "interrupted": "中断", "failed": "失敗", "not_started": "未着手"},
		}
	}
	return words{
		all: "all endpoints and all acquisition profiles of this incident", hosts: "endpoints: ", profiles: "acquisition profiles: ",
		leftHosts: "endpoints that are not in it: ", leftAcquisitions: "acquisitions that are not in it: %d", nothingLeft: "The scope leaves nothing out.",
		endpoint: "endpoint %s (%s)", clock: "  clock difference: %s (measured %s)", clockUnknown: "  clock difference: not measured",
		acquisition: "  acquisition %s", complete: "    not acquired: nothing", gap: "    not acquired: %s = %s%s", none: "There are no acquisitions.",
		noCheckpoint: "There was no signed checkpoint when the package was made.",
		checkpoint:   "A signed checkpoint is in data/custody/checkpoint.txt. The key that checks it (confirm it by another way too):",
		uploads:      "Files that people sent, in this package (in brackets what they were called):", upload: "  %s  data/%s (%s)  %d bytes  SHA-256 %s",
		uploadGone: "  %s (%s)  its bytes were disposed of (entry %d of the ledger)  %d bytes  SHA-256 %s",
		files:      "Files that people sent. Their bytes are not in this package; they are handed over one by one:", file: "  %s  %s  %d bytes  SHA-256 %s",
		incidents: "Related incidents. Their evidence is not in this package; it is in packages of their own:", incident: "  %s (%s)  acquisitions: %d, files that people sent: %d",
		relations: map[Relation]string{MergedFrom: "was merged into this one", MergedInto: "this one was merged into it", SplitFrom: "this one was split off it; what was acquired of its endpoints before that is in its package",
			SplitInto: "was split off this one; what was acquired of its endpoints before that stayed with this incident"},
		notDecoded: "    no readable copy: %s (%s)", records: "records", disposed: "    its bytes were disposed of (entry %d of the ledger); signature and receipt alone are in this package",
	}
}

func (w words) outcome(o string) string {
	if s := w.outcomes[o]; s != "" {
		return s
	}
	return strings.ReplaceAll(o, "_", " ")
}

// readmes makes the README in both languages.
func (x *writer) readmes() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, lang := range []string{"ja", "en"} {
		text, err := texts.ReadFile("texts/readme-" + lang + ".txt")
		if err != nil {
			return nil, err
		}
		w, p := wordsOf(lang), x.p
		checkpoint := w.noCheckpoint
		if p.Checkpoint != "" {
			checkpoint = w.checkpoint + "\n  " + p.CheckpointKey
		}
		by := p.ActorName
		if by == "" {
			by = p.ActorKind
		}
		r := strings.NewReplacer("{number}", p.Number, "{incident}", p.Frozen.Incident.Number, "{title}", visible(p.Frozen.Incident.Title),
			"{organisation}", visible(p.Frozen.Organisation), "{ordered_at}", clock(p.At), "{ordered_by}", visible(by), "{recipient}", visible(p.Recipient),
			"{purpose}", visible(p.Purpose), "{scope}", x.scope(w), "{hosts}", x.gaps(w), "{ca}", p.Frozen.CASHA256,
			"{ledger_size}", strconv.FormatInt(p.LedgerSize, 10), "{root}", p.LedgerRoot, "{checkpoint}", checkpoint,
			"{tool}", strings.TrimSpace(p.Frozen.Tool.Name+" "+p.Frozen.Tool.Version+" "+p.Frozen.Tool.Commit))
		out[lang] = []byte(r.Replace(string(text)))
	}
	return out, nil
}

// clock writes a moment in Japan's time and in UTC.
func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(time.FixedZone("JST", 9*60*60)).Format("2006-01-02 15:04:05 -0700") + " (" + t.UTC().Format("2006-01-02T15:04:05Z") + ")"
}

// visible keeps a stranger's text on its line and free of what changes how it looks.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, oneLine(s))
}

func (x *writer) scope(w words) string {
	var b strings.Builder
	if len(x.p.Hosts)+len(x.p.Profiles) == 0 {
		b.WriteString(w.all + "\n")
	}
	if len(x.p.Hosts) > 0 {
		var names []string
		for _, h := range x.doc.Hosts {
			names = append(names, visible(h.Hostname)+" ("+h.EndpointID+")")
		}
		b.WriteString(w.hosts + strings.Join(names, ", ") + "\n")
	}
	if len(x.p.Profiles) > 0 {
		b.WriteString(w.profiles + visible(strings.Join(x.p.Profiles, ", ")) + "\n")
	}
	left, more := x.p.Frozen.LeftOut, x.p.Frozen.Elsewhere
	if len(left.Hosts) > 0 || left.Acquisitions > 0 {
		if len(left.Hosts) > 0 {
			b.WriteString(w.leftHosts + visible(strings.Join(left.Hosts, ", ")) + "\n")
		}
		fmt.Fprintf(&b, w.leftAcquisitions+"\n", left.Acquisitions)
	} else if more.Empty() {
		b.WriteString(w.nothingLeft + "\n")
	}
	if len(x.doc.Uploads) > 0 {
		b.WriteString(w.uploads + "\n")
	}
	for _, u := range x.doc.Uploads {
		if u.DisposedBy != nil {
			fmt.Fprintf(&b, w.uploadGone+"\n", u.Exhibit, visible(u.Name), *u.DisposedBy, u.Size, u.SHA256)
		} else {
			fmt.Fprintf(&b, w.upload+"\n", u.Exhibit, u.File, visible(u.Name), u.Size, u.SHA256)
		}
	}
	if len(more.Files) > 0 {
		b.WriteString(w.files + "\n")
	}
	for _, f := range more.Files {
		fmt.Fprintf(&b, w.file+"\n", f.Exhibit, visible(f.Name), f.Size, f.SHA256)
	}
	if len(more.Incidents) > 0 {
		b.WriteString(w.incidents + "\n")
	}
	for _, i := range more.Incidents {
		fmt.Fprintf(&b, w.incident+"\n", i.Number, w.relations[i.Relation], i.Acquisitions, i.Files)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// gaps lists every acquisition and what its probes could not read.
func (x *writer) gaps(w words) string {
	var b strings.Builder
	for _, h := range x.doc.Hosts {
		fmt.Fprintf(&b, w.endpoint+"\n", visible(h.Hostname), h.EndpointID)
		fmt.Fprintf(&b, "  data/hosts/%s/   %s\n", h.Folder, visible(strings.Join([]string{h.Platform, h.OS, h.Arch, "hozen-agent " + h.AgentVersion}, " ")))
		if h.ClockAt.IsZero() {
			b.WriteString(w.clockUnknown + "\n")
		} else {
			fmt.Fprintf(&b, w.clock+"\n", seconds(h.ClockOffsetNS), clock(h.ClockAt))
		}
		for _, a := range h.Acquisitions {
			fmt.Fprintf(&b, w.acquisition+"\n", a.ID)
			fmt.Fprintf(&b, "    %s  %s – %s  %s  %s\n", visible(a.acq.Profile), clock(a.acq.StartedAt), clock(a.acq.FinishedAt), w.outcome(a.acq.Outcome), visible(a.tool))
			whole := true
			for _, p := range a.probes {
				if p.Outcome == "complete" || p.Outcome == "empty" {
					continue
				}
				whole = false
				why := ""
				if p.Skipped > 0 {
					why += fmt.Sprintf(" [-%d]", p.Skipped)
				}
				if p.Detail != "" {
					why += " (" + visible(p.Detail) + ")"
				}
				fmt.Fprintf(&b, w.gap+"\n", visible(p.Kind), w.outcome(p.Outcome), why)
			}
			if whole {
				b.WriteString(w.complete + "\n")
			}
			if a.DisposedBy != nil {
				fmt.Fprintf(&b, w.disposed+"\n", *a.DisposedBy)
				continue
			}
			for _, e := range a.Evidence {
				if e.Why != "" {
					fmt.Fprintf(&b, w.notDecoded+"\n", visible(e.Name), visible(e.Why))
				}
			}
		}
		b.WriteString("\n")
	}
	if len(x.doc.Hosts) == 0 {
		b.WriteString(w.none + "\n")
	}
	return strings.TrimRight(b.String(), "\n")
}

// seconds writes a duration with its sign.
func seconds(ns int64) string { return fmt.Sprintf("%+.3f s", float64(ns)/1e9) }
