package checkpoint

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"hozen/collector/internal/ledger"
	"hozen/collector/internal/sqldb"
	"hozen/internal/custody/checkpoint"
	"hozen/internal/durable"
	"hozen/internal/id"
)

// noteSuffix ends the names of the files of signed states.
const noteSuffix = ".checkpoint"

func notePath(dir, organisationID string) string {
	return filepath.Join(dir, organisationID+noteSuffix)
}

// readNote reads the newest signed state; without a file it is zero.
func readNote(dir, organisationID string) (checkpoint.Checkpoint, error) {
	if err := id.Check(id.Organisation, organisationID); err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("read newest checkpoint: %w: %w", checkpoint.ErrMalformed, err)
	}
	b, err := os.ReadFile(notePath(dir, organisationID))
	if errors.Is(err, fs.ErrNotExist) {
		return checkpoint.Checkpoint{}, nil
	}
	if err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("read newest checkpoint: %w", err)
	}
	c, err := checkpoint.Parse(string(b))
	if err != nil {
		return checkpoint.Checkpoint{}, fmt.Errorf("read newest checkpoint: %w", err)
	}
	return c, nil
}

// writeNote keeps the newest signed state durably, before anybody is told of it.
func writeNote(dir, organisationID string, c checkpoint.Checkpoint) error {
	if err := durable.WriteFile(notePath(dir, organisationID), []byte(c.Note), 0o600); err != nil {
		return fmt.Errorf("keep newest checkpoint: %w", err)
	}
	return nil
}

// setAside keeps the last signed state of a line that is over.
func setAside(dir, organisationID string, no int64) error {
	err := durable.Rename(notePath(dir, organisationID), filepath.Join(dir, fmt.Sprintf("%s.line-%d.txt", organisationID, no)))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the last checkpoint of a line aside: %w", err)
	}
	return nil
}

// organisations lists those that have a ledger or a signed state.
func (l *Log) organisations(ctx context.Context, q sqldb.Queryer) ([]string, error) {
	heads, err := ledger.Heads(ctx, q)
	if err != nil && !errors.Is(err, ledger.ErrBroken) {
		return nil, err
	}
	var orgs []string
	for _, h := range heads {
		orgs = append(orgs, h.OrganisationID)
	}
	lined, err := linedOrganisations(ctx, q)
	if err != nil {
		return nil, err
	}
	orgs = append(orgs, lined...)
	noted, err := l.noted()
	if err != nil {
		return nil, err
	}
	orgs = append(orgs, noted...)
	slices.Sort(orgs)
	return slices.Compact(orgs), nil
}

// noted lists the organisations of which there is a file.
func (l *Log) noted() ([]string, error) {
	files, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("read folder of checkpoints: %w", err)
	}
	var orgs []string
	for _, f := range files {
		if org, ok := strings.CutSuffix(f.Name(), noteSuffix); ok && id.Check(id.Organisation, org) == nil {
			orgs = append(orgs, org)
		}
	}
	return orgs, nil
}

// errNoKey means that the file was read and holds no key.
var errNoKey = errors.New("no Ed25519 key")

const pemType = "PRIVATE KEY" // PKCS #8 (RFC 5958, RFC 8410)

func loadKey(path string) (ed25519.PrivateKey, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load the ledger's key: %w", err)
	}
	block, _ := pem.Decode(b)
	if block == nil || block.Type != pemType {
		return nil, fmt.Errorf("load the ledger's key %q: %w: no PEM of a private key", path, errNoKey)
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("load the ledger's key %q: %w: %w", path, errNoKey, err)
	}
	key, ok := k.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("load the ledger's key %q: %w", path, errNoKey)
	}
	return key, nil
}

func makeKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	if err := durable.CreateFile(path, pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), 0o600); err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	return key, nil
}

func public(key ed25519.PrivateKey) checkpoint.Key {
	if key == nil {
		return nil
	}
	pub, ok := key.Public().(ed25519.PublicKey)
	if !ok {
		return nil
	}
	return checkpoint.Key(pub)
}
