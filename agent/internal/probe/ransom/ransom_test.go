package ransom

import (
	"testing"

	"hozen/internal/artifact/record"
)

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

func FuzzParseIO(f *testing.F) {
	f.Add([]byte("rchar: 10\nwchar: 20\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		var io record.ProcIO
		parseIO(&io, b)
	})
}
