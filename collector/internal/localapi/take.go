package localapi

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// headerInput carries the request of a verb whose body is bytes.
const headerInput = "Hozen-Input" // JSON in ASCII

// take is a verb that takes bytes, however many.
func take[T any](fn func(ctx context.Context, c *call, in T, bytes io.Reader) (any, error)) verb {
	return verb{take: func(ctx context.Context, c *call, bytes io.Reader) (any, error) {
		var in T
		if err := c.decode(&in); err != nil {
			return nil, err
		}
		return fn(ctx, c, in, bytes)
	}}
}

// taking answers a verb that takes bytes.
func (s *Server) taking(w http.ResponseWriter, r *http.Request, name string, v verb, c *call) {
	ctx := r.Context()
	if err := http.NewResponseController(w).SetReadDeadline(time.Time{}); err != nil {
		s.cfg.Log.DebugContext(ctx, "local call keeps the time of its request", slog.Any("error", err))
	}
	c.body = json.RawMessage(r.Header.Get(headerInput))
	out, err := func() (any, error) {
		if !v.open {
			if err := c.identify(ctx, r.Header.Get(headerBreakGlass)); err != nil {
				return nil, err
			}
		}
		return v.take(ctx, c, r.Body)
	}()
	// Whoever sends hears the answer only after the last byte.
	if _, derr := io.Copy(io.Discard, r.Body); derr != nil {
		s.cfg.Log.DebugContext(ctx, "a sender broke off", slog.String("verb", name), slog.Any("error", derr))
	}
	if err != nil {
		s.fail(ctx, w, name, err)
		return
	}
	s.write(w, http.StatusOK, answer{Result: marshal(out)})
}

// Send asks with bytes beside the request, and stores the answer in out.
func (c *Client) Send(ctx context.Context, verb string, in any, bytes io.Reader, out any) error {
	resp, err := c.do(ctx, verb, bytes, func(h http.Header) {
		h.Set("Content-Type", "application/octet-stream")
		h.Set(headerInput, asciiJSON(in))
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return fmt.Errorf("read the collector's answer: %w", err)
	}
	if a.Error != nil {
		return a.Error
	}
	if err := json.Unmarshal(a.Result, out); err != nil {
		return fmt.Errorf("read the collector's answer: %w", err)
	}
	return nil
}
