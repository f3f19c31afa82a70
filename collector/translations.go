package main

import (
	"embed"
	"io/fs"

	"hozen/internal/i18n"
)

//go:embed translations
var translations embed.FS

// catalogue returns the collector's texts on the command line.
func catalogue() (i18n.Catalogue, error) {
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		return i18n.Catalogue{}, err
	}
	return i18n.Load(sub)
}
