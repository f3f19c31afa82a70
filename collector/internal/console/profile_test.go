package console

import (
	"context"
	"net/url"
	"testing"

	"hozen/collector/internal/act"
	"hozen/collector/internal/dispatch"
	"hozen/collector/internal/sqldb"
	"hozen/internal/profile"
)

// TestAProfileIsChosen: what each takes and how long is said before it is ordered.
func TestAProfileIsChosen(t *testing.T) {
	x := newOffice(t, 3)
	b := x.as("sato", "ja")
	path := "/endpoints/" + x.sales.ID + "/order/acquire"
	b.get(path).want(t, 200, `value="flash" checked`, `value="volatile"`, "長くても", "2.0 MB", "パスワードや鍵は除く")
	x.as("sato", "en").get(path).want(t, 200, "Usually about", "200.0 kB", "at most 10 s.")
	b.post(path, url.Values{"profile": {"everything"}}).want(t, 422, "選択肢から選んでください。")
	for _, c := range []struct{ posted, want string }{{profile.Volatile, profile.Volatile}, {profile.Flash, profile.Flash}, {"", profile.Flash}} {
		b.post(path, url.Values{"profile": {c.posted}}).want(t, 303)
		list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID})
		must(t, err)
		if got := list[0]; got.Verb != dispatch.Acquire || got.Profile != c.want {
			t.Errorf("%q was ordered as %s %s", c.posted, got.Verb, got.Profile)
		}
	}
}

// TestTheMemoryOfAProcessIsOrdered: where the agent can, of a process that is named.
func TestTheMemoryOfAProcessIsOrdered(t *testing.T) {
	x := newOffice(t, 3)
	b := x.as("sato", "ja")
	path := "/endpoints/" + x.sales.ID + "/order/acquire"
	process := func(pid, began string) url.Values {
		return url.Values{"profile": {profile.Process}, "pid": {pid}, "start_ticks": {began}}
	}
	system := func(name string) {
		must(t, x.db.Tx(t.Context(), func(ctx context.Context, tx *sqldb.Tx) error {
			_, err := tx.ExecContext(ctx, `UPDATE endpoint_endpoint SET os = $1 WHERE id = $2`, name, x.sales.ID)
			return err
		}))
	}
	system("linux")
	b.get(path).lacks(t, `value="process"`)
	b.post(path, process("4711", "")).want(t, 422)
	system("windows")
	b.get(path).want(t, 200, `value="process"`, "プロセスの番号")
	for _, wrong := range []url.Values{process("", ""), process("0", ""), process("x", ""), process("4294967296", ""), process("4711", "-1"), process("4711", "99999999999999999")} {
		b.post(path, wrong).want(t, 422, "process\" checked")
	}
	before, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID})
	must(t, err)
	// Whoever names a process and leaves another profile chosen gets neither in silence.
	for _, alone := range []url.Values{{"profile": {profile.Flash}, "pid": {"4711"}}, {"profile": {profile.Memory}, "start_ticks": {"1"}}, {"pid": {"4711"}}} {
		b.post(path, alone).want(t, 422, "「1つのプロセスのメモリ」を選んでください")
	}
	b.post(path, process("4711", "1795476210610665")).want(t, 303)
	list, err := x.Commands(t.Context(), x.owner, act.CommandFilter{EndpointID: x.sales.ID})
	must(t, err)
	if got := list[0].Profile; got != profile.ProcessName(4711, 1795476210610665) || len(list) != len(before)+1 || before[0].Profile == got {
		t.Errorf("%d orders, %s", len(list), got)
	}
}
