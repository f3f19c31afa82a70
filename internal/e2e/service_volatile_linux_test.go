package e2e

import (
	"slices"
	"strings"
	"time"

	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

// takesVolatile lets a unit with all that the installed one allows and forbids take the
// volatile profile: the system manager tells its units and timers, and nothing keeps the
// agent from a /proc of its own.
func (p *guestPC) takesVolatile() {
	p.t.Helper()
	const folder = "/var/lib/taken"
	p.do("sh", "-c", `cd /run/systemd/system; printf '[Timer]\nOnCalendar=*-*-* 04:44:00\n' >evil.timer; printf '[Service]\nExecStart=/bin/true\n' >evil.service; `+
		`printf '[Timer]\nOnBootSec=90d\nUnit=evil.service\n' >evil-later.timer; systemctl daemon-reload; systemctl start evil.timer evil-later.timer`)
	p.do("sh", "-c", `sed -e '/^\(Restart\|Watchdog\|StartLimit\|RuntimeDirectory\|StateDirectory\|Wants\|After\|WantedBy\)/d' -e 's/^Type=.*/Type=oneshot\nSuccessExitStatus=3/' `+
		`-e 's#^ExecStart=.*#ExecStart=/usr/local/bin/hozen-agent acquire --profile volatile --out `+folder+`#' /etc/systemd/system/hozen-agent.service >/run/systemd/system/taking.service &&
		systemctl daemon-reload && systemctl start taking.service; status=$?; rm /run/systemd/system/taking.service; systemctl daemon-reload; exit $status`)
	dir := p.disk.Path(folder)
	defer p.do("sh", "-c", "systemctl stop evil.timer evil-later.timer; rm -r /run/systemd/system/evil* "+folder+"; systemctl daemon-reload")
	units := records[record.StartUnit](p.t, dir, artifact.KindAutostart)
	unit := func(name string) record.StartUnit {
		i := slices.IndexFunc(units, func(u record.StartUnit) bool { return u.Type == record.AutostartUnit && u.Name == name })
		if i < 0 {
			p.t.Errorf("%s is not among %d lines", name, len(units))
			return record.StartUnit{}
		}
		return units[i]
	}
	if u := unit("hozen-agent.service"); u.Active != "active" || u.Sub != "running" || u.FileState != "enabled" || !strings.HasSuffix(u.File, "/hozen-agent.service") {
		p.t.Errorf("%+v", u)
	}
	if u := unit("evil.timer"); u.Active != "active" || u.Next.Minute() != 44 || u.Starts != "evil.service" || !strings.HasPrefix(u.File, "/run/systemd/") {
		p.t.Errorf("%+v", u)
	}
	if u := unit("evil-later.timer"); time.Until(u.Next) < 80*24*time.Hour || time.Until(u.Next) > 90*24*time.Hour {
		p.t.Errorf("%+v", u)
	}
	for _, c := range records[record.CrossCheck](p.t, dir, artifact.KindCrossView) {
		if c.Check == record.CheckProcesses && (strings.Contains(c.Detail, "without a /proc") || !slices.ContainsFunc(c.Views, func(v record.View) bool { return v.View == "own_proc" })) {
			p.t.Errorf("no /proc of its own: %+v", c)
		}
	}
	tools := records[record.SecurityTool](p.t, dir, artifact.KindSecurity)
	if i := slices.IndexFunc(tools, func(s record.SecurityTool) bool { return s.Name == "journald" }); i < 0 || tools[i].State != record.SecurityRunning {
		p.t.Errorf("%+v", tools)
	}
}
