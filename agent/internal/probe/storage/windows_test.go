package storage

import (
	"testing"

	"hozen/internal/artifact/record"
)

func TestVolumesOfWindows(t *testing.T) {
	s := volume{letter: "E:", device: `\Device\HarddiskVolume7`, kind: 2, label: "営業USB", fs: "NTFS", serial: 0xabc, flags: readOnlyVolume, known: true, size: 100, used: 40}.record()
	if s.Type != record.StorageMount || s.Name != "E:" || s.Source != `\Device\HarddiskVolume7` || s.Kind != "removable" || !s.Removable || s.Model != "営業USB" || s.FSType != "NTFS" || s.Serial != "00000abc" || !s.ReadOnly || s.Size != 100 || s.Used != 40 || s.Encrypted != record.EncryptedUnknown {
		t.Errorf("%+v", s)
	}
	if s = (volume{letter: "Z:", kind: 4}).record(); s.Kind != "remote" || s.Encrypted != "" || s.Serial != "" {
		t.Errorf("%+v", s)
	}
	if s = (volume{kind: 99}).record(); s.Kind != "99" || s.Removable {
		t.Errorf("%+v", s)
	}
}
