package removal

import "strings"

// installer is the program of Windows Installer.
const installer = "msiexec.exe"

// ForUpgrade reports whether the programs that started this one, the nearest first, are an
// installer that another installer runs: it removes one version to put another in its place,
// which needs all that is kept. Windows says so by UPGRADINGPRODUCTCODE, on which the package's
// actions depend; this holds where that is missing, as it is in Wine.
func ForUpgrade(ancestors []string) bool {
	return len(ancestors) >= 2 && strings.EqualFold(ancestors[0], installer) && strings.EqualFold(ancestors[1], installer)
}
