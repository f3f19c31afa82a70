package console

import "hozen/internal/buildinfo"

// about says which build this is. To strangers it says only the version.
func (s *server) about(v *visit) error {
	info := buildinfo.Info{Version: s.version.Version}
	if v.operator.ID != "" {
		info = s.version
	}
	return s.show(v, "about", info)
}
