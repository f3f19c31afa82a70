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

// source is where the files of a folder lie. Names have "/" between folders.
type source interface {
	// open opens a plain file and tells its size. Links are not followed and pipes do not
	// block. What is wrong is a Problem without a file.
	open(name string) (io.ReadCloser, int64, *Problem)
	// list names what lies in a folder. An absent one is [fs.ErrNotExist].
	list(dir string) ([]listed, error)
}

// listed is a name in a folder.
type listed struct {
	name string
	dir  bool
}

// disk is a folder of a file system.
type disk struct{ root *os.Root }

func (d disk) open(name string) (io.ReadCloser, int64, *Problem) {
	fi, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, &Problem{Code: codeMissing}
	}
	if err != nil {
		return nil, 0, &Problem{Code: codeUnreadable, Detail: err.Error()}
	}
	if !fi.Mode().IsRegular() {
		return nil, 0, &Problem{Code: codeNotRegular, Detail: fi.Mode().Type().String()}
	}
	f, err := d.root.Open(name)
	if err != nil {
		return nil, 0, &Problem{Code: codeUnreadable, Detail: err.Error()}
	}
	now, err := f.Stat()
	if err != nil || !os.SameFile(fi, now) {
		f.Close()
		return nil, 0, &Problem{Code: codeNotRegular, Detail: "changed while it was opened"}
	}
	return f, now.Size(), nil
}

func (d disk) list(dir string) ([]listed, error) {
	fi, err := d.root.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		return nil, errors.New("not a folder")
	}
	f, err := d.root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	list, err := f.ReadDir(maxNames)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	var out []listed
	for _, e := range list {
		out = append(out, listed{e.Name(), e.IsDir()})
	}
	return out, err
}

// open opens a plain file. A nil file means that the problem is reported.
func (c *check) open(name string, optional bool) (io.ReadCloser, int64) {
	f, size, why := c.src.open(name)
	if why != nil {
		if !optional || why.Code != codeMissing {
			c.problem(why.Code, name, "%s", why.Detail)
		}
		return nil, 0
	}
	return f, size
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
	known := map[string]bool{fileManifest: true, fileSignature: true, fileSigner: true, fileCert: true, fileReceipt: true, fileReceiptCA: true}
	for _, a := range m.artifacts {
		known[a.name] = true
	}
	for _, dir := range []string{".", dirArtifacts} {
		list, err := c.src.list(dir)
		if errors.Is(err, fs.ErrNotExist) && (len(m.artifacts) == 0 || c.gone) {
			continue
		}
		if err != nil {
			c.problem(codeFolder, dir, "%v", err)
		}
		for _, d := range list {
			name := path.Join(dir, d.name)
			switch {
			case name == dirArtifacts && d.dir:
			case known[name]:
			case m.acquisitionID == "" && strings.HasPrefix(name, dirArtifacts+"/"):
				// Without a manifest nobody can say which artifacts belong there.
			default:
				c.problem(codeExtra, name, "")
			}
		}
	}
}
