package localapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// The trailers of an answer that is made while it is sent. An answer without
// trailerWhole is not whole, whatever its length.
const (
	trailerWhole = "Hozen-Whole"
	trailerError = "Hozen-Error" // JSON of an [Error]
)

// poured notes that bytes were sent, after which no other answer can be given.
type poured struct {
	w     http.ResponseWriter
	begun bool
}

func (p *poured) Write(b []byte) (int, error) {
	if !p.begun {
		p.begun = true
		p.w.Header().Set("Content-Type", "application/octet-stream")
		// Sent on now, so that no length is made up for it: only without one are there trailers.
		if err := http.NewResponseController(p.w).Flush(); err != nil {
			return 0, err
		}
	}
	return p.w.Write(b)
}

// end says behind the bytes whether they are whole.
func (s *Server) end(ctx context.Context, w http.ResponseWriter, name string, err error) {
	if err == nil {
		w.Header().Set(http.TrailerPrefix+trailerWhole, "yes")
		return
	}
	e, _ := s.told(ctx, name, err)
	w.Header().Set(http.TrailerPrefix+trailerError, asciiJSON(e))
}

// asciiJSON writes v as JSON that a header can carry.
func asciiJSON(v any) string {
	var b []byte
	for _, r := range string(marshal(v)) {
		if r < 0x20 || r > 0x7e {
			if r > 0xffff {
				r = 0xfffd
			}
			b = fmt.Appendf(b, `\u%04x`, r)
			continue
		}
		b = append(b, byte(r))
	}
	return string(b)
}

// Pour asks for bytes that are made while they are sent, and copies them to w. Without an
// error they are whole.
func (c *Client) Pour(ctx context.Context, verb string, in any, w io.Writer) error {
	resp, err := c.ask(ctx, verb, in)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("the collector broke off: %w", err)
	}
	if resp.Trailer.Get(trailerWhole) != "" {
		return nil
	}
	var e Error
	if json.Unmarshal([]byte(resp.Trailer.Get(trailerError)), &e) != nil {
		return errors.New("the collector broke off")
	}
	return &e
}
