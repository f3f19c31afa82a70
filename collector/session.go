package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/term"

	"hozen/collector/internal/config"
	"hozen/internal/durable"
)

// socket returns the path of the local socket of the data folder. Whoever may use the
// socket need not be able to read the settings: then it is where it is by default.
func (c *cli) socket() (string, error) {
	dir, err := filepath.Abs(c.data)
	if err != nil {
		return "", err
	}
	cfg, err := loadConfig(dir)
	if errors.Is(err, fs.ErrPermission) {
		return config.Default().SocketPath(dir), nil
	}
	if err != nil {
		return "", err
	}
	return cfg.SocketPath(dir), nil
}

// loadConfig loads the settings of a data folder; its errors say what to do.
func loadConfig(dir string) (config.Config, error) {
	cfg, err := config.Load(dir)
	switch {
	case err == nil:
		return cfg, nil
	case errors.Is(err, fs.ErrNotExist):
		return cfg, &hinted{err, "hint.init"}
	case errors.Is(err, fs.ErrPermission):
		return cfg, &hinted{err, "hint.permission"}
	}
	return cfg, &hinted{err, "hint.settings"}
}

// tokenFile is where the sign-in for the collector at that socket is kept.
func (c *cli) tokenFile(socket string) (string, error) {
	state := c.getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(state) { // relative ones must be ignored (XDG base directory specification)
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find home folder: %w", err)
		}
		state = filepath.Join(home, ".local", "state")
	}
	sum := sha256.Sum256([]byte(socket))
	return filepath.Join(state, "hozen", "session-"+hex.EncodeToString(sum[:8])), nil
}

func (c *cli) readToken(socket string) (string, error) {
	path, err := c.tokenFile(socket)
	if err != nil {
		return "", err
	}
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read sign-in: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func (c *cli) writeToken(socket, token string) error {
	path, err := c.tokenFile(socket)
	if err != nil {
		return err
	}
	if err := durable.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	if token == "" {
		return durable.Remove(path)
	}
	if err := durable.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
		return fmt.Errorf("keep sign-in: %w", err)
	}
	return nil
}

// askSecret reads a password without echo from the terminal, or a line from a pipe.
func (c *cli) askSecret(prompt string) (string, error) {
	if f, ok := c.std.in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(c.std.err, prompt)
		b, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(c.std.err)
		if err != nil {
			return "", fmt.Errorf("read password: %w", err)
		}
		return string(b), nil
	}
	// Byte by byte: the next question reads on behind this line.
	r := bufio.NewReaderSize(oneByte{c.std.in}, 16)
	s, err := r.ReadString('\n')
	if err != nil && (!errors.Is(err, io.EOF) || s == "") {
		return "", fmt.Errorf("read password: %w; give one at the prompt, on standard input or with --password-file", err)
	}
	return strings.TrimRight(s, "\r\n"), nil
}

// oneByte never reads ahead.
type oneByte struct{ r io.Reader }

func (o oneByte) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return o.r.Read(p[:1])
}
