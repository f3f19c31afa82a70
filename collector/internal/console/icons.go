package console

import (
	"fmt"
	"html/template"
)

// iconPaths are drawn on a grid of 24, two units wide, in the colour of the text.
func iconPaths() map[string]string {
	return map[string]string{
		"check":    `<path d="M5 12.5l4.5 4.5L19 7.5"/>`,
		"cross":    `<path d="M6 6l12 12M18 6L6 18"/>`,
		"question": `<path d="M9 9a3 3 0 1 1 4.5 2.6c-1 .6-1.5 1.2-1.5 2.4M12 17.5v.1"/>`,
		"shield":   `<path d="M12 3l7 3v5c0 5-3 8-7 10-4-2-7-5-7-10V6z"/>`,
		"lock":     `<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 8 0v3"/>`,
		"unlock":   `<rect x="5" y="11" width="14" height="9" rx="2"/><path d="M8 11V8a4 4 0 0 1 7.5-2"/>`,
		"box":      `<path d="M4 8l8-4 8 4v8l-8 4-8-4zM4 8l8 4 8-4M12 12v8"/>`,
		"bell":     `<path d="M6 16V11a6 6 0 0 1 12 0v5l1.5 2h-15zM10 20.5h4"/>`,
		"pen":      `<path d="M5 19l1-4L16 5l3 3L9 18z"/>`,
		"arrow":    `<path d="M5 12h13M13 7l5 5-5 5"/>`,
		"flag":     `<path d="M6 21V4h11l-2 4 2 4H6"/>`,
		"wait":     `<circle cx="12" cy="12" r="8"/><path d="M12 7.5V12l3 2"/>`,
		"dot":      `<circle cx="12" cy="12" r="4"/>`,
		"off":      `<circle cx="12" cy="12" r="7"/><path d="M7 17L17 7"/>`,
		"warn":     `<path d="M12 4l9 16H3zM12 10v4.5M12 17.3v.1"/>`,
		"plus":     `<path d="M12 5v14M5 12h14"/>`,
		"down":     `<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>`,
		"pc":       `<rect x="3" y="5" width="18" height="11" rx="1.5"/><path d="M9 20h6M12 16v4"/>`,
		"spin":     `<path d="M12 4a8 8 0 1 1-8 8"/>`,
		"power":    `<path d="M12 3v8M7 6.5a7.5 7.5 0 1 0 10 0"/>`,
		"search":   `<circle cx="11" cy="11" r="6.5"/><path d="M16 16l4.5 4.5"/>`,
		"minus":    `<path d="M6 12h12"/>`,
	}
}

// icon is a picture beside a word, never instead of one, so it is hidden from screen
// readers.
func icon(name string) (template.HTML, error) {
	path, ok := iconPaths()[name]
	if !ok {
		return "", fmt.Errorf("no icon %q", name)
	}
	return template.HTML(`<svg class="icon icon-` + name + `" viewBox="0 0 24 24" aria-hidden="true" focusable="false">` + path + `</svg>`), nil
}
