package pdf

import (
	"strconv"
	"time"
)

// Box is a name in both languages with what is said of it, as every form has it, printed or not.
type Box struct{ Ja, En, Value string }

// besideCode is how many rows of an exhibit's boxes stand beside its code.
const besideCode = 2

// Boxes are those of the cover, in rows of one or two.
func (f Form) Boxes() (rows [][]Box) {
	rows = append(rows, []Box{Box{"パッケージ", "Package", f.Number}, Box{"インシデント番号", "Case number", f.CaseNumber}})
	rows = append(rows, []Box{Box{"件名", "Title", f.CaseTitle}})
	rows = append(rows, []Box{Box{"組織", "Organisation", f.Organisation}})
	rows = append(rows, []Box{Box{"作成日時", "Made", f.at(f.At)}, Box{"作成を指示した人", "Ordered by", f.OrderedBy}})
	rows = append(rows, []Box{Box{"渡す相手", "Recipient", f.Recipient}, Box{"目的", "Purpose", f.Purpose}})
	size := ""
	if f.LedgerSize > 0 {
		size = strconv.FormatInt(f.LedgerSize, 10)
	}
	rows = append(rows, []Box{Box{"証拠管理台帳の件数", "Entries of the custody ledger", size}, Box{"タイムスタンプ", "Time stamp", f.Timestamp}})
	rows = append(rows, []Box{Box{"台帳のルートハッシュ", "Root hash of the ledger", groups(f.LedgerRoot)}})
	return rows
}

// BoxesOf are those of an exhibit, in rows of one or two.
func (f Form) BoxesOf(e Exhibit) (rows [][]Box) {
	rows = append(rows, []Box{Box{"インシデント番号", "Case number", f.CaseNumber}, Box{"元の証拠物件", "Made of", e.ParentNumber}})
	rows = append(rows, []Box{Box{"種別", "Kind", Word(e.Kind)}, Box{"大きさ・ファイル数", "Size, files", person(e.Size, e.Files)}})
	rows = append(rows, []Box{Box{"内容", "Description", e.Description}})
	s := e.Source
	rows = append(rows, []Box{Box{"端末", "Endpoint", s.Host}, Box{"資産管理番号", "Asset number", s.AssetNumber}})
	rows = append(rows, []Box{Box{"メーカー・型番", "Maker, model", person(s.Maker, s.Model)}, Box{"製造番号", "Serial number", s.Serial}})
	rows = append(rows, []Box{Box{"システム", "Operating system", s.OS}, Box{"PCの利用者・場所", "PC user, location", person(s.User, s.Location)}})
	a := e.Acquisition
	rows = append(rows, []Box{Box{"取得方法・プロファイル", "Method, profile", person(a.Method, a.Profile)}, Box{"ツール", "Tool", a.Tool}})
	rows = append(rows, []Box{Box{"ツールの SHA-256", "SHA-256 of the tool", groups(a.ToolSHA256)}})
	if a.Parameters != "" {
		rows = append(rows, []Box{Box{"取得の設定", "Parameters", a.Parameters}})
	}
	rows = append(rows, []Box{Box{"取得の開始", "Started (endpoint's clock)", f.at(a.Started)}, Box{"取得の終了", "Ended (endpoint's clock)", f.at(a.Ended)}})
	rows = append(rows, []Box{Box{"取得結果", "Outcome", Word(a.Outcome)}, Box{"欠け・誤り", "Gaps, errors", a.Errors}})
	rows = append(rows, []Box{Box{"取得した人", "Acquired by", person(e.AcquiredBy.Name, e.AcquiredBy.Organisation, e.AcquiredBy.Role)},
		Box{"承認した人・根拠", "Authorised by, basis", person(e.Authorised.Name, e.Authorised.Role, e.Authorised.Basis)}})
	rows = append(rows, []Box{Box{"立会人", "Witness", e.Witness}, Box{"取得の理由", "Reason", e.Reason}})
	c := e.Clock
	rows = append(rows, []Box{Box{"時計のずれ（端末−基準）", "Clock offset", person(c.Offset, plusMinus(c.Uncertainty))}, Box{"測定日時", "Measured", f.at(c.UTC)}})
	rows = append(rows, []Box{Box{"タイムゾーン・時刻同期", "Time zone, synchronisation", person(c.Zone, c.NTP)}, Box{"起動日時", "Booted", f.at(c.BootTime)}})
	rows = append(rows, []Box{Box{"取得時のネットワーク", "Network at the capture", e.NetworkState}, Box{"台帳番号", "Ledger entry", e.LedgerIndex}})
	if e.ManifestSHA256 != "" {
		rows = append(rows, []Box{Box{"マニフェストの SHA-256", "SHA-256 of the manifest", groups(e.ManifestSHA256)}})
	}
	if e.SHA256 != "" || e.ManifestSHA256 == "" {
		rows = append(rows, []Box{Box{"SHA-256", "SHA-256", groups(e.SHA256)}})
	}
	rows = append(rows, []Box{Box{"署名", "Signature", e.Signature}, Box{"タイムスタンプ", "Time stamp", e.Timestamp}})
	rows = append(rows, []Box{Box{"現在の保管者", "Custodian now", e.Custodian}, Box{"保管者不明の期間", "Gap in custody", e.Gap}})
	return rows
}

// Cells are what is said of an event: its number; when and what; by whom, to whom and before
// whom; where, with what and why; hashes and the entry of the ledger.
func (f Form) Cells(v Event) [5]string {
	after := v.After
	if after == v.Before {
		after = ""
	}
	return [5]string{
		strconv.FormatInt(v.Sequence, 10), join("\n", f.at(v.At), v.Clock, Word(v.Type)),
		join("\n", join(" → ", v.From, v.To), named("立会 witness:", v.Witness), named("記録 recorded:", v.Actor)),
		person(v.Place, v.Medium, named("封印 seal", v.Seal), named("送り状 tracking", v.Tracking), v.Purpose, Word(v.Result), v.Text),
		join("\n", groups(v.Before), named("→", groups(after)), v.Entry),
	}
}

// at writes a time with its offset, so that it is the same wherever it is read.
func (f Form) at(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	utc := t.UTC().Format("2006-01-02 15:04:05") + " UTC"
	if f.Zone == nil {
		return utc
	}
	local := t.In(f.Zone)
	if _, offset := local.Zone(); offset == 0 {
		return utc
	}
	return local.Format("2006-01-02 15:04:05 -07:00") + " (" + utc + ")"
}
