package main

import (
	"embed"
	"io/fs"
	"runtime"

	"hozen/internal/i18n"
)

//go:embed translations
var translations embed.FS

// catalogue returns the agent's texts.
func catalogue() (i18n.Catalogue, error) {
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		return i18n.Catalogue{}, err
	}
	if runtime.GOOS == onWindows {
		return withWindowsWords(sub)
	}
	return i18n.Load(sub)
}
