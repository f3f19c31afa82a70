package verify

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// Names of the files of a folder.
const (
	fileManifest  = "manifest.json"
	fileSignature = "manifest.json.sig"
	fileSigner    = "signer.pem"
	fileCert      = "signer-cert.pem"
	fileReceipt   = "receipt.json"
	dirArtifacts  = "artifacts"
)

// maxNames bounds how many names of one folder are looked at.
const maxNames = 4096

// open opens a plain file; links are not followed and pipes do not block. A nil file
// means that the problem is reported.
func (c *check) open(name string, optional bool) (*os.File, int64) {
	fi, err := c.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		if !optional {
			c.problem(codeMissing, name, "")
		}
		return nil, 0
	}
	if err != nil {
		c.problem(codeUnreadable, name, "%v", err)
		return nil, 0
	}
	if !fi.Mode().IsRegular() {
		c.problem(codeNotRegular, name, "%s", fi.Mode().Type())
		return nil, 0
	}
	f, err := c.root.Open(name)
	if err != nil {
		c.problem(codeUnreadable, name, "%v", err)
		return nil, 0
	}
	now, err := f.Stat()
	if err != nil || !os.SameFile(fi, now) {
		f.Close()
		c.problem(codeNotRegular, name, "changed while it was opened")
		return nil, 0
	}
	return f, now.Size()
}

// file reads a small file whole, or reports why not and returns nil.
func (c *check) file(name string, limit int64, optional bool) []byte {
	f, size := c.open(name, optional)
	if f == nil {
		return nil
	}
	defer f.Close()
	if size > limit {
		c.problem(codeTooLarge, name, "%d bytes, at most %d", size, limit)
		return nil
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	if err != nil {
		c.problem(codeUnreadable, name, "%v", err)
		return nil
	}
	return b
}

// extra reports whatever lies in the folder and is not part of the evidence.
func (c *check) extra(m *manifest) {
	known := map[string]bool{fileManifest: true, fileSignature: true, fileSigner: true, fileCert: true, fileReceipt: true}
	for _, a := range m.artifacts {
		known[a.name] = true
	}
	for _, dir := range []string{".", dirArtifacts} {
		list, err := c.list(dir)
		if errors.Is(err, fs.ErrNotExist) && len(m.artifacts) == 0 {
			continue
		}
		if err != nil {
			c.problem(codeFolder, dir, "%v", err)
		}
		for _, d := range list {
			name := path.Join(dir, d.Name())
			switch {
			case name == dirArtifacts && d.IsDir():
			case known[name]:
			case m.acquisitionID == "" && strings.HasPrefix(name, dirArtifacts+"/"):
				// Without a manifest nobody can say which artifacts belong there.
			default:
				c.problem(codeExtra, name, "")
			}
		}
	}
}

func (c *check) list(dir string) ([]fs.DirEntry, error) {
	fi, err := c.root.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, errors.New("not a folder")
	}
	f, err := c.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(maxNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return list, err
}
