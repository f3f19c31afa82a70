package console

import (
	"strings"
	"testing"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/operator"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// What the rules say is tested in package finding; here, that a person reads it of the right
// acquisitions, and that what was not acquired is unknown.
func TestFindingsCompareWithWhatWasThere(t *testing.T) {
	x := newSite(t)
	p := x.enrol(endpoint.Description{Hostname: "keiri-pc01", OS: "linux"})
	ps := func(pid int, exe string) string {
		return line(&record.Process{PID: pid, PPID: 1, StartTicks: uint64(pid), BootID: "b", Comm: exe[strings.LastIndex(exe, "/")+1:], Exe: exe, UID: 1000, EUID: 1000})
	}
	talk := func(pid int) string {
		return line(&record.Socket{Family: record.FamilyInet, Proto: record.ProtoTCP, State: "ESTABLISHED", LocalAddr: "192.168.1.5", LocalPort: 50000,
			RemoteAddr: "203.0.113.9", RemotePort: 443, Owners: []record.Owner{{PID: pid, StartTicks: uint64(pid), Comm: "x"}}})
	}
	send := func(lines map[artifact.Kind][]string) string {
		acq := p.send(nil, lines)
		items, err := x.AcquisitionItems(t.Context(), x.owner, acq)
		must(t, err)
		for _, it := range items {
			if it.Kind == artifact.KindProcess {
				return it.ID
			}
		}
		t.Fatal("no processes")
		return ""
	}
	x.advance(time.Hour)
	incident := p.alert("変な画面", "鈴木")
	x.advance(time.Minute)
	first := send(map[artifact.Kind][]string{artifact.KindProcess: {ps(10, "/usr/bin/mail"), ps(11, "/home/a/beacon")}, artifact.KindNetConn: {talk(11)}})
	x.advance(time.Minute)
	second := send(map[artifact.Kind][]string{artifact.KindProcess: {ps(10, "/usr/bin/mail"), ps(12, "/tmp/.x/run")}, artifact.KindNetConn: {talk(12)},
		artifact.KindSecurity:  {line(&record.SecurityTool{Name: "clamav", Category: "antivirus", State: record.SecurityDisabled, Units: []string{"clamav-daemon.service masked"}})},
		artifact.KindCrossView: {line(&record.CrossFinding{Check: record.CheckProcesses, Finding: record.FindUnlisted, PID: 99, Comm: "rootkit"})}})

	b := x.as("owner", "ja")
	b.get("/incidents/"+incident).want(t, 200, `href="/evidence/`+first+`/findings"`, `href="/evidence/`+second+`/findings"`)
	early := b.get("/evidence/"+first+"/findings").want(t, 200, "気になる点", "前後の比較はできません", "普段との比較はできません", "取得されていません（不明）", "インターネットの相手とつながっている")
	if strings.Contains(early.body, "badge ok") {
		t.Error("what was found on the first acquisition is called good")
	}
	b.get("/evidence/"+second+"/findings").want(t, 200, "一時フォルダーのプログラムがインターネットに接続している", "/evidence/"+second+"/processes/12-12",
		"前の取得ではインターネットに接続していたが、今はいない", "/evidence/"+first+"/processes/11-11", "前の取得のみ", "一覧に出てこないプロセスがある", "rootkit", "これだけでは言えないこと",
		"ウイルス対策ソフトがあるのに動いていない", "動かない設定", "clamav-daemon.service masked")
	if n := strings.Count(early.body, "ウイルス対策ソフトが見つからない"); n != 1 || !strings.Contains(early.body, "調べられなかった規則") {
		t.Errorf("nobody looked for an antivirus, and it is told %d times", n)
	}
	x.as("owner", "en").get("/evidence/"+second+"/findings").want(t, 200, "talks to the internet", "Only in the earlier acquisition", "What it does not prove")

	// Looking at findings is looking at the evidence, of the earlier acquisition too.
	n, err := x.LedgerEntries(t.Context(), x.owner, act.LedgerFilter{})
	must(t, err)
	seen := map[string]bool{}
	for _, e := range n {
		if e.Act == "evidence.view" {
			seen[e.Subject] = true
		}
	}
	if !seen[first] || !seen[second] {
		t.Errorf("views in the ledger: %v", seen)
	}
	x.person("viewer", "閲覧", operator.Viewer)
	x.as("viewer", "ja").get("/evidence/"+second+"/findings").want(t, 403)
}
