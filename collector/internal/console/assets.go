package console

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed static templates translations
var files embed.FS

// assets are the files that browsers may keep for ever: their address carries the
// digest of their bytes, so a new build has new addresses.
type assets struct {
	byURL map[string]asset
	urls  map[string]string // name to URL
}

type asset struct {
	contentType string
	body        []byte
}

// contentTypes names every type that is served; the system's table of types is never
// asked, because it differs from machine to machine.
func contentType(name string) (string, error) {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8", nil
	case ".js":
		return "text/javascript; charset=utf-8", nil
	case ".svg":
		return "image/svg+xml", nil
	}
	return "", fmt.Errorf("no content type for %q", name)
}

func loadAssets(fsys fs.FS) (*assets, error) {
	a := &assets{byURL: make(map[string]asset), urls: make(map[string]string)}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("list assets: %w", err)
	}
	all := sha256.New()
	bodies := make(map[string][]byte)
	for _, e := range entries {
		body, err := fs.ReadFile(fsys, e.Name())
		if err != nil {
			return nil, fmt.Errorf("read asset: %w", err)
		}
		bodies[e.Name()] = body
		fmt.Fprintf(all, "%s %d\n", e.Name(), len(body))
		all.Write(body)
	}
	// One digest over all files: a module imports another by its relative name, so
	// they have to change their address together.
	folder := hex.EncodeToString(all.Sum(nil))[:16]
	for name, body := range bodies {
		t, err := contentType(name)
		if err != nil {
			return nil, err
		}
		url := "/static/" + folder + "/" + name
		a.urls[name] = url
		a.byURL[url] = asset{contentType: t, body: body}
	}
	return a, nil
}

// url returns the address of a file; an unknown name is a mistake in a template.
func (a *assets) url(name string) (string, error) {
	u, ok := a.urls[name]
	if !ok {
		return "", fmt.Errorf("no asset %q", name)
	}
	return u, nil
}

func (a *assets) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f, ok := a.byURL[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if strings.HasPrefix(f.contentType, "image/svg") {
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	_, _ = w.Write(f.body) // the browser went away: nobody to tell
}
