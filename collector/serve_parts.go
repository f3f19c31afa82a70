package main

import (
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strconv"

	"github.com/coreos/go-systemd/v22/daemon"

	"hozen/collector/internal/act"
	"hozen/collector/internal/agentapi"
	"hozen/collector/internal/config"
	"hozen/collector/internal/evidence"
	"hozen/collector/internal/transfer"
	"hozen/internal/durable"
)

// newLog makes the program's log.
func newLog(w io.Writer, cfg config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Level)); err != nil {
		level = slog.LevelInfo // config has checked it
	}
	opts := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}

// signerOf returns the private key of a certificate.
func signerOf(cert tls.Certificate) (crypto.Signer, error) {
	key, ok := cert.PrivateKey.(crypto.Signer)
	if !ok {
		return nil, errors.New("the collector's key can't sign")
	}
	return key, nil
}

// withPort puts the port that the operating system gave where a settings file says 0,
// which tests and demonstrations do.
func withPort(addresses []string, bound net.Addr) []string {
	tcp, ok := bound.(*net.TCPAddr)
	if !ok {
		return addresses
	}
	out := make([]string, 0, len(addresses))
	for _, a := range addresses {
		if host, port, err := net.SplitHostPort(a); err == nil && port == "0" {
			a = net.JoinHostPort(host, strconv.Itoa(tcp.Port))
		}
		out = append(out, a)
	}
	return out
}

// tellManager tells systemd (sd_notify(3)); without one nothing happens.
func (s *serving) tellManager(ctx context.Context, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.WarnContext(ctx, "tell the service manager", slog.Any("error", err))
	}
}

// checkDisk warns before uploads are refused for want of room: once when it gets
// tight, once when it is well again.
func (s *serving) checkDisk(ctx context.Context) {
	free, err := durable.Free(s.dir)
	if err != nil {
		s.log.WarnContext(ctx, "look at free disk space", slog.Any("error", err))
		return
	}
	tight := free < s.tightBelow()
	if tight != s.lowOnDisk {
		s.lowOnDisk = tight
		if tight {
			s.log.WarnContext(ctx, "disk space is running out; evidence will be refused", slog.Uint64("free_mb", free/1e6), slog.Int64("refused_below_mb", s.cfg.Storage.MinFreeMB))
		} else {
			s.log.InfoContext(ctx, "disk space is sufficient again", slog.Uint64("free_mb", free/1e6))
		}
	}
}

// uploads joins the intake of evidence to the agents' edge and tells the pages when
// something was accepted or refused.
type uploads struct {
	intake *evidence.Intake
	acts   *act.Acts
}

func (u uploads) State(ctx context.Context, endpointID, acquisitionID string) (evidence.UploadState, error) {
	return u.intake.State(ctx, endpointID, acquisitionID)
}

func (u uploads) Begin(ctx context.Context, endpointID, acquisitionID string) (agentapi.Upload, error) {
	up, err := u.intake.Begin(ctx, endpointID, acquisitionID)
	if err != nil {
		return nil, err
	}
	return &upload{up, u.acts, endpointID, acquisitionID}, nil
}

type upload struct {
	*evidence.Upload
	acts                      *act.Acts
	endpointID, acquisitionID string
}

// Seal ends the upload, see [evidence.Upload.Seal].
func (u *upload) Seal(ctx context.Context, manifest, signature, certificate []byte) (evidence.Receipt, error) {
	r, err := u.Upload.Seal(ctx, manifest, signature, certificate)
	u.acts.EvidenceChanged(ctx, u.endpointID, u.acquisitionID)
	return r, err
}

// useUploads lets people send files as evidence.
func (s *serving) useUploads(ctx context.Context) error {
	f, err := transfer.Open(transfer.Config{Dir: filepath.Join(s.paths.Incoming, "uploads"), Vault: s.blobs.Vault(), MinFree: s.cfg.Storage.MinFreeMB * 1e6})
	if err != nil {
		return err
	}
	s.acts.UseUploads(f)
	if err := s.acts.DropOldUploads(ctx); err != nil {
		s.log.WarnContext(ctx, "what is left of files that were being sent", slog.Any("error", err))
	}
	return nil
}

// useKits lets USB kits be made and read.
func (s *serving) useKits(ctx context.Context, intake *evidence.Intake) {
	s.acts.UseKits(act.Kits{
		Intake: intake, Name: s.cfg.Name, Dir: s.paths.Incoming, MinFree: s.cfg.Storage.MinFreeMB * 1e6,
		Recipients: func(context.Context, string) ([]string, error) { return s.keys.Recipients() },
		Open:       func(_ string, sealed io.Reader) (io.Reader, error) { return s.keys.Open(sealed) },
		Certificate: func() ([]byte, crypto.Signer, error) {
			cert := s.cert.Load()
			key, err := signerOf(*cert)
			return cert.Certificate[0], key, err
		},
	})
	if err := s.acts.DropOldSticks(); err != nil {
		s.log.WarnContext(ctx, "what is left of sticks that were being read", slog.Any("error", err))
	}
}
