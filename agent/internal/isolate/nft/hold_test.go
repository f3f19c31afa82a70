//go:build linux

package nft

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"hozen/agent/internal/isolate"
)

// needHold skips where the kernel cannot hold tables.
func (l *lab) needHold(t *testing.T) {
	t.Helper()
	if feat, err := l.stranger(t).learn(t.Context()); err != nil || !feat.hold {
		t.Skip("needs Linux 6.9, whose tables can be held: ", err)
	}
}

// flushRuleset is "nft flush ruleset".
func flushRuleset(t *testing.T, f *Firewall) error {
	t.Helper()
	return f.commit(t.Context(), []netlink.Message{message(unix.NFT_MSG_DELTABLE, 0, unix.AF_UNSPEC, nil)})
}

// tampering is what somebody with root may try, by name.
func (l *lab) tampering() map[string][]netlink.Message {
	name := l.fw.cfg.Table
	at := attr(nil, unix.NFTA_TABLE_NAME, str(name))
	yes := rule{"yes", []expr{verdict(accept)}}
	all := map[string][]netlink.Message{}
	for _, family := range families {
		label := table{family: family, name: name}.label()
		out := map[byte]string{unix.NFPROTO_INET: "out", unix.NFPROTO_NETDEV: egressName(l.NameA)}[family]
		all["delete "+label] = []netlink.Message{message(unix.NFT_MSG_DELTABLE, 0, family, at)}
		all["insert accept in "+label] = []netlink.Message{message(unix.NFT_MSG_NEWRULE, netlink.Create, family, ruleAttrs(name, out, yes))}
		all["append accept in "+label] = []netlink.Message{message(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, family, ruleAttrs(name, out, yes))}
		all["flush rules of "+label] = []netlink.Message{message(unix.NFT_MSG_DELRULE, 0, family, attr(nil, unix.NFTA_RULE_TABLE, str(name)))}
		all["make dormant "+label] = []netlink.Message{message(unix.NFT_MSG_NEWTABLE, 0, family, attr(at, unix.NFTA_TABLE_FLAGS, be32(unix.NFT_TABLE_F_DORMANT)))}
		all["adopt "+label] = []netlink.Message{message(unix.NFT_MSG_NEWTABLE, 0, family, attr(at, unix.NFTA_TABLE_FLAGS, be32(flagsHeld)))}
		all["replace "+label] = replace(name, []table{{family: family, name: name}})
	}
	return all
}

// What is held nobody else can change, with any right; it stays when its holder is
// gone, and the next one takes it over.
func TestHeldRulesCannotBeChangedByOthers(t *testing.T) {
	l := newLab(t)
	l.needHold(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
	held := func(want isolate.Held) {
		t.Helper()
		o := l.observe(t, &l.policy)
		if !o.Complete || o.Held != want || o.Digest != o.Expected {
			t.Fatalf("complete %v, held %q, want %q, gaps %q", o.Complete, o.Held, want, o.Gaps)
		}
	}
	held(isolate.HeldHere)
	other := l.stranger(t)
	for name, msgs := range l.tampering() {
		if err := other.commit(t.Context(), msgs); !errors.Is(err, unix.EPERM) {
			t.Errorf("%s: got %v, want EPERM", name, err)
		}
		held(isolate.HeldHere)
	}
	check(t, flushRuleset(t, other)) // passes by what is not its own
	held(isolate.HeldHere)
	if err := other.Restore(t.Context()); !errors.Is(err, isolate.ErrHeld) || errors.Is(err, isolate.ErrNeedsRoot) {
		t.Errorf("restore by another: got %v, want ErrHeld", err)
	}
	if err := other.Apply(t.Context(), l.policy); !errors.Is(err, isolate.ErrHeld) {
		t.Errorf("apply by another: got %v, want ErrHeld", err)
	}
	if o, err := other.Observe(t.Context(), &l.policy); err != nil || !o.Complete || o.Held != isolate.HeldElsewhere {
		t.Errorf("seen by another: %+v, %v", o, err)
	}
	check(t, l.fw.Apply(t.Context(), isolate.Policy{})) // its holder may still replace it
	check(t, l.fw.Apply(t.Context(), l.policy))
	held(isolate.HeldHere)

	check(t, l.fw.Close())
	held(isolate.HeldByNobody) // and in force
	if tcp(l.PC, l.Peer, l.B.At(4, 8080)) == nil {
		t.Error("open without a holder")
	}
	check(t, other.Apply(t.Context(), l.policy)) // adopts
	held(isolate.HeldElsewhere)
	check(t, other.Restore(t.Context()))
	if o := l.observe(t, nil); o.Present || !o.Complete {
		t.Errorf("left over: %+v", o)
	}
}

// Plain rules of an older version are locked by the next Apply.
func TestPlainRulesAreTakenOver(t *testing.T) {
	l := newLab(t)
	l.needHold(t)
	older := l.stranger(t)
	older.remember(plain)
	check(t, older.Apply(t.Context(), l.policy))
	if o := l.observe(t, &l.policy); !o.Complete || o.Held != isolate.HeldByNobody {
		t.Errorf("%+v", o)
	}
	check(t, l.fw.Apply(t.Context(), l.policy))
	if o := l.observe(t, &l.policy); !o.Complete || o.Held != isolate.HeldHere {
		t.Errorf("%+v", o)
	}
}

// Where the kernel refuses what it does not know, plain rules do.
func TestKernelThatCannotHold(t *testing.T) {
	l := newLab(t)
	l.fw.remember(plain)
	check(t, l.fw.Apply(t.Context(), l.policy))
	if o := l.observe(t, &l.policy); !o.Complete || o.Held != "" || !strings.Contains(strings.Join(o.Limits, ""), "lock tables") {
		t.Errorf("%+v", o)
	}
}

const childEnv = "HOZEN_TEST_APPLY_AND_WAIT"

// TestApplyInAProcessOfItsOwn is no test: it is the process that the next one kills.
func TestApplyInAProcessOfItsOwn(t *testing.T) {
	if os.Getenv(childEnv) == "" {
		t.Skip("runs as a child of TestHolderIsKilled")
	}
	fw := New(Config{})
	l := &lab{fw: fw}
	if err := l.fw.Apply(t.Context(), isolate.Policy{}); err != nil {
		fmt.Println("apply:", err)
		return
	}
	fmt.Println("applied")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until killed
}

// A holder that is killed, as an agent may be, or that ends, as the boot unit does,
// leaves the network cut, and the next process takes over.
func TestHolderIsKilled(t *testing.T) {
	l := newLab(t)
	l.needHold(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestApplyInAProcessOfItsOwn$")
	cmd.Env = append(os.Environ(), childEnv+"=1")
	in, err := cmd.StdinPipe()
	check(t, err)
	defer in.Close()
	out, err := cmd.StdoutPipe()
	check(t, err)
	check(t, l.PC.Start(cmd))
	if line, _ := bufio.NewReader(out).ReadString('\n'); line != "applied\n" {
		t.Fatalf("child said %q", line)
	}
	policy := isolate.Policy{}
	if o := l.observe(t, &policy); !o.Complete || o.Held != isolate.HeldElsewhere {
		t.Fatalf("%+v", o)
	}
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	if o := l.observe(t, &policy); !o.Complete || o.Held != isolate.HeldByNobody {
		t.Fatalf("after the kill: %+v", o)
	}
	if tcp(l.PC, l.Peer, l.B.At(4, 8080)) == nil {
		t.Error("open after the kill")
	}
	check(t, l.fw.Apply(t.Context(), l.policy))
	if o := l.observe(t, &l.policy); !o.Complete || o.Held != isolate.HeldHere {
		t.Fatalf("adopted: %+v", o)
	}
	check(t, l.fw.Restore(t.Context()))
	if err := eventually(func() error { return tcp(l.PC, l.Peer, l.B.At(4, 8080)) }); err != nil {
		t.Errorf("after release: %v", err)
	}
}

// A change that was cut short by its context leaves nothing behind that the next one
// could take for its own answer.
func TestEndedContextLeavesNoAnswer(t *testing.T) {
	l := newLab(t)
	bad := message(unix.NFT_MSG_DELTABLE, netlink.Acknowledge, unix.NFPROTO_INET, attr(nil, unix.NFTA_TABLE_NAME, str("nosuch")))
	for range 3 {
		if err := l.fw.commit(t.Context(), []netlink.Message{bad, bad, bad}); !errors.Is(err, unix.ENOENT) {
			t.Fatalf("got %v, want ENOENT", err)
		}
		check(t, l.fw.Apply(t.Context(), l.policy))
		l.isolated(t)
	}
}

// What an administrator would type.
func TestNftProgramCannotChangeHeldRules(t *testing.T) {
	nft, err := exec.LookPath("nft")
	if err != nil {
		t.Skip("needs nft(8): ", err)
	}
	l := newLab(t)
	l.needHold(t)
	check(t, l.fw.Apply(t.Context(), l.policy))
	run := func(args ...string) (string, error) {
		var out strings.Builder
		cmd := exec.Command(nft, args...)
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := l.PC.Start(cmd); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		return out.String(), err
	}
	if out, err := run("flush", "ruleset"); err != nil {
		t.Logf("flush ruleset: %v: %s", err, out)
	}
	l.isolated(t)
	for _, args := range [][]string{
		{"delete", "table", "inet", "hozen"},
		{"delete", "table", "netdev", "hozen"},
		{"insert", "rule", "inet", "hozen", "out", "accept"},
		{"flush", "chain", "inet", "hozen", "out"},
		{"add", "table", "inet", "hozen", "{ flags dormant; }"},
	} {
		if out, err := run(args...); err == nil || !strings.Contains(out, "not permitted") {
			t.Errorf("%q: %v: %s", args, err, out)
		}
		l.isolated(t)
	}
	if o := l.observe(t, &l.policy); o.Held != isolate.HeldHere {
		t.Errorf("held %q", o.Held)
	}
}
