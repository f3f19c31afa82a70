package osservice

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
)

// maxLine is how much of a message the event log takes (ReportEvent, lpStrings: 31,839
// characters), with room to spare.
const maxLine = 16 << 10

// lines is a log of one line each, which hands every line on with its level.
type lines struct {
	to   func(level slog.Level, line string)
	mu   *sync.Mutex
	buf  *bytes.Buffer
	text slog.Handler // writes into buf
}

// newLines leaves the time out: the event log has its own.
func newLines(level slog.Leveler, to func(slog.Level, string)) slog.Handler {
	buf := &bytes.Buffer{}
	text := slog.NewTextHandler(buf, &slog.HandlerOptions{Level: level, ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	return &lines{to, &sync.Mutex{}, buf, text}
}

// Enabled implements [slog.Handler], as do the others.
func (l *lines) Enabled(ctx context.Context, level slog.Level) bool {
	return l.text.Enabled(ctx, level)
}

func (l *lines) Handle(ctx context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Reset()
	if err := l.text.Handle(ctx, r); err != nil {
		return err
	}
	line := strings.ReplaceAll(strings.TrimSuffix(l.buf.String(), "\n"), "\x00", "")
	l.to(r.Level, line[:min(len(line), maxLine)])
	return nil
}

func (l *lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &lines{l.to, l.mu, l.buf, l.text.WithAttrs(attrs)}
}

func (l *lines) WithGroup(name string) slog.Handler {
	return &lines{l.to, l.mu, l.buf, l.text.WithGroup(name)}
}
