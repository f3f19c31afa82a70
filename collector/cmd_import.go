package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"hozen/collector/internal/kit"
	"hozen/collector/internal/localapi"
	"hozen/internal/artifact"
	"hozen/internal/id"
	"hozen/internal/usbkit"
)

func (c *cli) importCmd() *cobra.Command {
	var in localapi.ImportOrder
	cmd := &cobra.Command{Use: "import DIR|ZIP", Short: "Take in evidence that was acquired with a USB kit", Long: importLong, Args: argsExactly(1),
		RunE: func(cmd *cobra.Command, args []string) error { return c.importStick(cmd.Context(), args[0], in) }}
	f := cmd.Flags()
	f.StringVar(&in.Incident, "incident", "", "the incident that it belongs to (default: that of the kit)")
	f.StringArrayVar(&in.ReceiptCodes, "receipt-code", nil, "`code` on paper, such as 7Q2M-0KXD-V93A; may be repeated")
	f.BoolVar(&in.AcceptForeign, "accept-foreign", false, "take in what was not acquired with a kit of this collector")
	return cmd
}

func (c *cli) importStick(ctx context.Context, from string, in localapi.ImportOrder) error {
	for _, code := range in.ReceiptCodes {
		if _, err := usbkit.ParseReceiptCode(code); err != nil {
			return &usageError{err}
		}
	}
	if in.AcceptForeign && in.Incident == "" {
		return &usageError{errors.New("--accept-foreign needs --incident: nothing else says where it belongs")}
	}
	body, err := openStick(from)
	if err != nil {
		return &usageError{err}
	}
	defer body.Close()
	cl, err := c.client()
	if err != nil {
		return err
	}
	var out localapi.Imported
	err = cl.Send(ctx, "kit.import", in, body, &out)
	if e, ok := errors.AsType[*localapi.Error](err); ok && e.Field == "receipt_code" {
		return &hinted{err, "import.code.wrong"}
	}
	if err != nil {
		return err
	}
	if err := c.print(out, func() { c.printImported(out) }); err != nil {
		return err
	}
	if out.Wrong {
		return &hinted{errProblems, "import.refused.next"}
	}
	return nil
}

func (c *cli) printImported(out localapi.Imported) {
	if len(out.Results) == 0 {
		c.say("import.empty")
	}
	for _, r := range out.Results {
		c.say("import."+r.State, "acquisition", r.AcquisitionID, "endpoint", r.Endpoint, "incident", r.Incident, "items", itoa(r.Items), "parts", itoa(len(r.Parts)))
		for _, p := range r.Problems {
			c.line("  " + c.problem(p))
		}
		if r.State != "imported" && r.State != "already" {
			continue
		}
		if r.State == "imported" {
			c.say("import.by." + r.Match)
		}
		if r.Foreign {
			c.say("import.foreign")
		}
		if r.CodeCompared {
			c.say("import.code.fits", "code", r.ReceiptCode)
		} else {
			c.say("import.code.open")
		}
		if s := r.Statement; s != nil {
			c.fields([2]string{"place", s.Place}, [2]string{"reason", s.Reason}, [2]string{"by", s.By}, [2]string{"witness", s.Witness})
			if s.Reference.Typed != "" {
				c.say("import.clock", "typed", s.Reference.Typed, "source", s.Reference.Source, "offset", seconds(s.Reference.Offset))
			} else {
				c.say("import.no_clock")
			}
		}
	}
	if len(out.Problems) > 0 {
		c.say("import.kit_problems")
		for _, p := range out.Problems {
			c.line("  " + c.problem(p))
		}
	}
}

// problem is one problem in words; what has none keeps its code and its detail.
func (c *cli) problem(p localapi.ImportProblem) string {
	key := "import.problem." + p.Code
	if !c.text.Has(key) {
		key = "import.problem.other"
	}
	return c.sentence(key, "file", p.File, "code", p.Code, "detail", c.text.Detail(p.Detail))
}

// seconds writes milliseconds as seconds with a sign.
func seconds(ms int64) string { return fmt.Sprintf("%+.1f", float64(ms)/1000) }

// openStick opens a zip, or packs the kit of a folder while it is read.
func openStick(from string) (io.ReadCloser, error) {
	fi, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if !fi.IsDir() {
		f, err := os.Open(from)
		if err != nil {
			return nil, err
		}
		head := make([]byte, 4)
		if _, err := io.ReadFull(f, head); err != nil || !kit.IsZip(head) {
			return nil, errors.Join(fmt.Errorf("%s is neither a folder nor a zip", from), f.Close())
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return f, nil
	}
	files, err := stickFiles(from)
	if err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(packStick(w, files)) }()
	return r, nil
}

// stickFile is a file to send.
type stickFile struct{ name, path string }

// stickFiles lists what belongs to the kit in a folder: its own files and its results. What
// else lies on the stick stays there.
func stickFiles(dir string) ([]stickFile, error) {
	if b, err := readUpTo(filepath.Join(dir, artifact.ManifestFile), 4<<20); err == nil { // one acquisition
		var m struct {
			AcquisitionID string `json:"acquisition_id"`
		}
		if err := json.Unmarshal(b, &m); err != nil || id.Check(id.Acquisition, m.AcquisitionID) != nil {
			return nil, fmt.Errorf("%s is no acquisition", dir)
		}
		return below(nil, dir, usbkit.ResultsDir+"/"+m.AcquisitionID)
	}
	dir, err := kitFolder(dir)
	if err != nil {
		return nil, err
	}
	var files []stickFile
	if b, err := readUpTo(filepath.Join(dir, usbkit.DocumentFile), usbkit.MaxDocument); err == nil {
		names := []string{usbkit.DocumentFile, usbkit.SignatureFile}
		if k, err := usbkit.Decode(b); err == nil {
			for _, f := range k.Files {
				names = append(names, f.Name)
			}
		}
		for _, n := range names {
			if fi, err := os.Lstat(filepath.Join(dir, n)); err == nil && fi.Mode().IsRegular() {
				files = append(files, stickFile{n, filepath.Join(dir, n)})
			}
		}
	}
	return below(files, filepath.Join(dir, usbkit.ResultsDir), usbkit.ResultsDir)
}

// readUpTo reads the first bytes of a file.
func readUpTo(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, limit))
	return b, errors.Join(err, f.Close())
}

// kitFolder finds the kit in a folder or in one right below it.
func kitFolder(dir string) (string, error) {
	found := func(d string) bool {
		for _, n := range []string{usbkit.DocumentFile, usbkit.ResultsDir} {
			if _, err := os.Lstat(filepath.Join(d, n)); err == nil {
				return true
			}
		}
		return false
	}
	if found(dir) {
		return dir, nil
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	for _, e := range list {
		if e.IsDir() && found(filepath.Join(dir, e.Name())) {
			return filepath.Join(dir, e.Name()), nil
		}
	}
	return "", fmt.Errorf("%s holds no USB kit and no results of one", dir)
}

// below adds the plain files below a folder.
func below(files []stickFile, dir, as string) ([]stickFile, error) {
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && p == dir {
			return nil // nothing was acquired yet
		}
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err == nil && e.Type().IsRegular() {
			files = append(files, stickFile{path.Join(as, filepath.ToSlash(rel)), p})
		}
		return err
	})
	return files, err
}

func packStick(w io.Writer, files []stickFile) error {
	z := zip.NewWriter(w)
	for _, f := range files {
		out, err := z.CreateHeader(&zip.FileHeader{Name: f.name, Method: zip.Store})
		if err != nil {
			return err
		}
		in, err := os.Open(f.path)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		if err = errors.Join(err, in.Close()); err != nil {
			return fmt.Errorf("read %s: %w", strings.TrimSpace(f.path), err)
		}
	}
	return z.Close()
}
