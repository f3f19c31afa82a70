package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"hozen/internal/digest"
)

// aside ends the name of a whole file of which nobody knows what is in it. It is kept until
// its acquisition goes.
const aside = ".aside"

// trimAside is the name that a file had before it was set aside, if it was.
func trimAside(name string) string {
	for strings.HasSuffix(name, aside) {
		name = strings.TrimSuffix(name, aside)
	}
	return name
}

// setAside gives a file a name that no part has, and never that of another file.
func setAside(root *os.Root, name string) (string, error) {
	to := name + aside
	for {
		_, err := root.Lstat(to)
		if errors.Is(err, fs.ErrNotExist) {
			return to, root.Rename(name, to)
		}
		if err != nil {
			return "", err
		}
		to += aside
	}
}

// keptAside counts a file that is no part and is not taken away either, and names it.
func (s *Spool) keptAside(e *entry, name string, size int64) {
	e.aside += size
	s.problem(e.id, name+" is kept, and not handed over: nothing tells what is in it")
}

// learn finds out what is in the sealed parts. Once there is a signature, what it stands for
// counts: what is noted beside may be damaged, or gone, or of a newer agent.
func (s *Spool) learn(root *os.Root, e *entry, signed bool) (map[string]partNote, error) {
	if !e.sealed {
		return nil, nil
	}
	known, err := readNotes(root)
	if !signed {
		return known, err
	}
	if err != nil {
		s.problem(e.id, err.Error())
	}
	if known == nil {
		known = map[string]partNote{}
	}
	m, err := readFile(root, manifestFile, maxManifest)
	if err != nil {
		return nil, err
	}
	other := 0
	for _, n := range parseStored(m) {
		if was, ok := known[n.Name]; !ok || was.Size != n.Size || was.SHA256 != n.SHA256 {
			known[n.Name] = n
			other++
		}
	}
	if other > 0 {
		s.problem(e.id, fmt.Sprintf("%s does not tell of %d parts what the signed manifest does, which counts", notesFile, other))
	}
	return known, nil
}

// parseStored reads from a manifest what was written to each part. What it does not know it
// passes over: whether the manifest is right is for others to say.
func parseStored(manifest []byte) (list []partNote) {
	var m struct {
		Artifacts []struct {
			Name   string `json:"name"`
			Stored struct {
				Size   int64  `json:"size"`
				SHA256 string `json:"sha256"`
			} `json:"stored"`
		} `json:"artifacts"`
	}
	if json.Unmarshal(manifest, &m) != nil {
		return nil
	}
	for _, a := range m.Artifacts {
		if _, err := digest.Parse(a.Stored.SHA256); err == nil && checkPart(a.Name) == nil && a.Stored.Size >= 0 {
			list = append(list, partNote{Name: a.Name, Size: a.Stored.Size, SHA256: a.Stored.SHA256})
		}
	}
	return list
}
