package procenv_test

import (
	"bytes"
	"errors"
	"testing"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/probetest"
	"hozen/agent/internal/probe/procenv"
	"hozen/agent/internal/probe/scan"
)

func fresh() probe.Probe { return procenv.New(scan.New(scan.Options{})) }

func TestConformance(t *testing.T) {
	if err := fresh().Acquire(t.Context(), new(probetest.Lines)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip("this system has no such probe yet")
	}
	probetest.Run(t, probetest.Config{New: fresh, Key: probetest.Join("pid", "start_ticks")})
}

func TestParse(t *testing.T) {
	vars, withheld := procenv.Parse([]byte("LD_PRELOAD=/tmp/x.so\x00EMPTY=\x00\x00sshd: alice\x00DB_PASSWORD=hunter2\x00B\xff=\xfe\x00=odd"))
	if len(vars) != 6 || withheld != 1 {
		t.Fatalf("%d variables, %d withheld: %+v", len(vars), withheld, vars)
	}
	if v := vars[0]; v.Name != "LD_PRELOAD" || v.Value != "/tmp/x.so" || v.Bare {
		t.Errorf("%+v", v)
	}
	if v := vars[1]; v.Name != "EMPTY" || v.Value != "" || v.Bare {
		t.Errorf("%+v", v)
	}
	if v := vars[2]; v.Name != "sshd: alice" || !v.Bare {
		t.Errorf("%+v", v)
	}
	if v := vars[3]; v.Name != "DB_PASSWORD" || v.Value != "" || !v.Withheld || v.ValueBytes != 7 {
		t.Errorf("%+v", v)
	}
	if v := vars[4]; string(v.NameRaw) != "B\xff" || string(v.ValueRaw) != "\xfe" {
		t.Errorf("%+v", v)
	}
	if v := vars[5]; v.Name != "=odd" || !v.Bare {
		t.Errorf("%+v", v)
	}
}

func TestWithhold(t *testing.T) {
	for _, c := range []struct {
		name, value string
		want        bool
	}{
		{"AWS_SECRET_ACCESS_KEY", "x", true}, {"GITHUB_TOKEN", "x", true}, {"MYSQL_PWD", "x", true}, {"api_key", "x", true},
		{"PGPASSWORD", "x", true}, {"SMTP_PASS", "x", true}, {"GOOGLE_APPLICATION_CREDENTIALS", "x", true}, {"TOKEN", "", false},
		{"DATABASE_URL", "postgres://app:hunter2@db/x", true}, {"http_proxy", "http://u:p@proxy:3128/", true},
		{"DATABASE_URL", "postgres://db/x?mail=a:b@c", false}, {"http_proxy", "http://proxy:3128", false}, {"GIT_URL", "ssh://git@host:22/x", false},
		{"SSHPASS", "x", true}, {"GITHUB_PAT", "x", true}, {"DEPLOY_CREDS", "x", true}, {"PAT", "x", true}, {"XPAT", "x", false},
		{"REMOTE", "https://ghp_x@example.org/r.git", true}, {"GIT_URL", "ssh://git@host/x:y@z", false}, {"GIT_URL", "ssh://git:hunter2@host/x", true},
		{"GIT_URL", "git+ssh://git@host https://ghp_x@example.org", true}, {"URL", "https://example.org/x@1.2", false},
		{"URL", "postgres://app:hun/ter2@db/x", true}, {"URL", "postgres://app:hun?ter#2@db/x", true}, {"URL", "http://[::1]:80/x", false},
		{"DSN", "app:hunter2@tcp(db:3306)/x", true}, {"DSN", "app:hunter2@unix(/run/m.sock)/x", true}, {"DSN", "host=db password=hunter2", true},
		{"CONNECTION", "Server=db;User=app;Password=hunter2;", true}, {"CONNECTION", "Server=db;Pwd=hunter2", true}, {"CONNECTION", "Server=db", false},
		{"PWD", "/root", false}, {"OLDPWD", "/root", false}, {"LD_PRELOAD", "/tmp/x.so", false}, {"SSH_AUTH_SOCK", "/tmp/a", false},
		{"SSH_CONNECTION", "192.0.2.1 1 192.0.2.2 22", false}, {"HISTFILE", "/dev/null", false}, {"PATH", "/bin", false}, {"KEYBOARD", "jp", false},
	} {
		if got := procenv.Withhold(c.name, []byte(c.value)); got != c.want {
			t.Errorf("%s=%s: withheld %t", c.name, c.value, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("A=b\x00C=d\x00"))
	f.Add([]byte("\x00\x00=\x00x://a:b@"))
	f.Fuzz(func(t *testing.T, b []byte) {
		vars, withheld := procenv.Parse(b)
		n, empty := 0, 0
		for _, one := range bytes.Split(b, []byte{0}) {
			if len(one) == 0 {
				empty++
			}
		}
		for _, v := range vars {
			if v.Withheld {
				if n++; v.Value != "" || v.ValueRaw != nil {
					t.Fatalf("withheld with its value: %+v", v)
				}
			}
		}
		if n != withheld || len(vars)+empty != len(bytes.Split(b, []byte{0})) {
			t.Fatalf("%d variables and %d empty texts of %q", len(vars), empty, b)
		}
	})
}
