package export

import (
	"archive/zip"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Upload is a file that a person sent, such as the log of a router: an exhibit whose bytes the
// collector keeps. Nobody signed it; the ledger says since when it is what it is.
type Upload struct {
	ID        string `json:"upload_id"`  // "upl_…"
	Exhibit   string `json:"exhibit"`    // its number
	ExhibitID string `json:"exhibit_id"` // "exh_…"
	// File is its name below data/; empty once its bytes were disposed of.
	File   string `json:"file,omitempty"`
	Name   string `json:"name"`   // as it was called; any text
	Source string `json:"source"` // where it comes from, as the person chose
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"`
	// DisposedBy is the entry of the ledger by which its bytes were disposed of; nil: they are
	// there.
	DisposedBy *int64 `json:"disposed_by,omitempty"`
}

// plainEnding are the endings of names that packages keep. A file with one of them is opened by
// a program that shows it, and not run; every other is called .bin.
var plainEnding = regexp.MustCompile(`^(7z|avi|bmp|bz2|cap|cef|conf|csv|dd|docx|e01|eml|etl|evt|evtx|gif|gz|heic|img|jpeg|jpg|json|jsonl|leef|log|m4a|mbox|mov|mp3|mp4|msg|ods|odt|pcap|pcapng|pdf|png|raw|rar|rtf|syslog|tar|tgz|tif|tiff|tsv|txt|vhd|vhdx|vmdk|wav|webp|xlsx|xml|xz|yaml|yml|zip|zst)$`)

// UploadName is what a file that a person sent is called in packages: below data/, by the
// number of its exhibit. What it was called stands beside it in package.json, for that is any
// text.
func UploadName(exhibit, name string) string {
	ending := "bin"
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		if e := strings.ToLower(name[i+1:]); plainEnding.MatchString(e) {
			ending = e
		}
	}
	return "uploads/" + exhibit + "." + ending
}

// uploads writes the files that people sent, exactly as they were received.
func (x *writer) uploads() error {
	list := slices.Clone(x.doc.Uploads)
	slices.SortFunc(list, func(a, b Upload) int { return strings.Compare(a.File, b.File) })
	for _, u := range list {
		if u.File == "" {
			continue
		}
		sum, err := x.bag.data(u.File, zip.Store, func(w io.Writer) error {
			f, err := x.src.Open(x.ctx, u.SHA256)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{f}, x.bag.block)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", u.Exhibit, err)
		}
		if sum != u.SHA256 {
			return fmt.Errorf("%s: the stored bytes have the SHA-256 %s, not %s that was received", u.Exhibit, sum, u.SHA256)
		}
	}
	return nil
}
