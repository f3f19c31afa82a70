package console

import (
	"io"
	"net/http"
	"path"
	"strconv"
	"time"

	"hozen/collector/internal/act"
)

// downloadStall is how long a download may stand still before it is given up.
const downloadStall = time.Minute

// attachment sets the headers of a file that browsers store and never show. Its name
// is made of our own words only.
func attachment(h http.Header, name, contentType string) {
	h.Set("Content-Type", contentType)
	h.Set("Content-Disposition", `attachment; filename="`+safeName(name)+`"`)
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
}

// safeName keeps letters, digits, dots, dashes and underscores of ASCII, which every
// file system takes and no header can be broken with.
func safeName(name string) string {
	b := []byte(name)
	for i, c := range b {
		ok := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.' && i > 0
		if !ok {
			b[i] = '_'
		}
	}
	if len(b) > 100 {
		b = append(b[:60:60], b[len(b)-40:]...) // the number stands at the beginning, the suffix at the end
	}
	if len(b) == 0 {
		return "evidence"
	}
	return string(b)
}

// evidenceDownload sends the stored bytes exactly as they were received, so that
// their digest is the one in the record.
func (s *server) evidenceDownload(v *visit) error {
	item, r, err := s.evidence.OpenEvidence(v.ctx(), v.actor, v.r.PathValue("id"), act.ToDownload)
	if err != nil {
		return err
	}
	defer r.Close()
	number := item.Number
	if number == "" {
		number = item.ID
	}
	attachment(v.w.Header(), number+"_"+path.Base(item.Name), "application/octet-stream")
	v.w.Header().Set("Content-Length", strconv.FormatInt(item.StoredSize, 10))
	v.w.Header().Set("X-Hozen-Stored-Sha256", item.StoredSHA256)
	return pour(v, r)
}

// pour sends bytes of which the length was promised, however long that takes.
func pour(v *visit, r io.Reader) error {
	if v.r.Method == http.MethodHead {
		return nil
	}
	c := http.NewResponseController(v.w)
	for {
		// Errors here mean that the browser went away or that the bytes cannot be read
		// on; the length that was promised tells the browser that the file is not whole.
		_ = c.SetWriteDeadline(time.Now().Add(downloadStall))
		if _, err := io.CopyN(v.w, r, 1<<20); err == io.EOF {
			return nil
		} else if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func (s *server) manifestDownload(v *visit) error {
	manifest, _, err := s.evidence.ManifestOf(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	attachment(v.w.Header(), v.r.PathValue("id")+"_manifest.json", "application/octet-stream")
	_, _ = v.w.Write(manifest)
	return nil
}

func (s *server) signatureDownload(v *visit) error {
	_, sig, err := s.evidence.ManifestOf(v.ctx(), v.actor, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	attachment(v.w.Header(), v.r.PathValue("id")+"_manifest.json.sig", "application/octet-stream")
	_, _ = v.w.Write(sig)
	return nil
}
