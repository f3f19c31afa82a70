package main

import (
	"embed"
	"io/fs"

	"hozen/internal/i18n"
)

//go:embed translations
var translations embed.FS

//go:embed details
var details embed.FS

// catalogue returns the collector's texts on the command line.
func catalogue() (i18n.Catalogue, error) {
	sub, err := fs.Sub(translations, "translations")
	if err != nil {
		return i18n.Catalogue{}, err
	}
	c, err := i18n.Load(sub)
	if err != nil {
		return i18n.Catalogue{}, err
	}
	d, err := i18n.LoadDetails(details, "details/ja.json")
	return c.WithDetails(d), err
}
