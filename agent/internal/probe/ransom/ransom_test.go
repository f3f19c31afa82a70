package ransom

import (
	"encoding/json"
	"strings"
	"testing"

	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact/record"
)

func lines(all []record.Share) (s []string) {
	for _, x := range all {
		s = append(s, strings.Join(append([]string{x.Type, x.FSType, x.Source, x.Server, x.Address, x.Path}, x.Options...), "|"))
	}
	return s
}

func TestShares(t *testing.T) {
	m, _ := procfs.ParseMount([]byte(`36 35 0:50 / /mnt/nas\040a rw - cifs //nas.example/team\040x rw,username=bob,addr=192.0.2.7,password=x`))
	n, _ := procfs.ParseMount([]byte(`37 35 0:51 / /home rw - nfs4 [2001:db8::1]:/vol rw,vers=4.2,addr=2001:db8::1`))
	s, _ := procfs.ParseMount([]byte(`38 35 0:52 / /mnt/s rw - fuse.sshfs alice@host:/x rw,user_id=0`))
	for i, want := range []string{
		"used|cifs|//nas.example/team x|nas.example|192.0.2.7|/mnt/nas a|rw|username=bob|addr=192.0.2.7|password",
		"used|nfs4|[2001:db8::1]:/vol|2001:db8::1|2001:db8::1|/home|rw|vers=4.2|addr=2001:db8::1",
		"used|fuse.sshfs|alice@host:/x|host||/mnt/s|rw|user_id=0",
	} {
		if got := lines([]record.Share{used([]procfs.Mount{m, n, s}[i])})[0]; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	got := lines(parseExports([]byte("# none\n/srv/a 192.0.2.0/24(rw,\\\nsync) *(ro)\n\"/srv/b c\" host\n/srv/\\040d\n")))
	if strings.Join(got, "\n") != "offered|nfs||||/srv/a|192.0.2.0/24(rw,|sync)|*(ro)\noffered|nfs||||/srv/b c|host\noffered|nfs||||/srv/ d" {
		t.Errorf("%q", got)
	}
	got = lines(parseSamba([]byte("[global]\npath = /no\n; x\n[Team Share]\n  path = /srv/team\n Read Only = no\n#path=/x\n[homes]\nbrowseable=no\n")))
	if strings.Join(got, "\n") != "offered|cifs|Team Share|||/srv/team|read only=no\noffered|cifs|homes||||browseable=no" {
		t.Errorf("%q", got)
	}
	got = lines(parseRmtab([]byte("192.0.2.9:/srv/a:0x00000001\nodd\n2001:db8::2:/srv/b:0x1\n")))
	if strings.Join(got, "\n") != "client|nfs|||192.0.2.9|/srv/a\nclient|nfs|||2001:db8::2|/srv/b" {
		t.Errorf("%q", got)
	}
	if a := clientAddress([]byte("clientid: 0x1\naddress: \"192.0.2.3:712\"\nname: \"x\"\n")); a != "192.0.2.3:712" {
		t.Error(a)
	}
}

func FuzzShares(f *testing.F) {
	f.Add([]byte("[x]\npath = /srv\n/srv *(ro)\n192.0.2.9:/srv/a:0x1\naddress: \"x\"\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, s := range append(append(parseExports(b), parseSamba(b)...), parseRmtab(b)...) {
			if !json.Valid(s.AppendJSON(nil)) {
				t.Errorf("%+v", s)
			}
		}
		clientAddress(b)
		var io record.ProcIO
		parseIO(&io, b)
	})
}

func TestParseIO(t *testing.T) {
	var io record.ProcIO
	parseIO(&io, []byte("rchar: 10\nwchar: 20\nsyscr: 1\nsyscw: 2\nread_bytes: 30\nwrite_bytes: 40\ncancelled_write_bytes: 5\n"))
	if io.ReadChars != 10 || io.WriteChars != 20 || io.ReadBytes != 30 || io.WriteBytes != 40 || io.Cancelled != 5 {
		t.Errorf("%+v", io)
	}
}

func TestDemanding(t *testing.T) {
	for name, want := range map[string]bool{
		"HOW-TO-DECRYPT.txt": true, "!!!READ_ME!!!.html": true, "akira_readme.txt": true, "README.txt": false, "RECOVER_FILES.hta": true, "_readme.txt": true,
		"notes.txt": false, "暗号化されました.txt": true, "license.txt": false, "how_to_back_files.html": true, "requirements.txt": false,
	} {
		if demanding(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
