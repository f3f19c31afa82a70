package ransom

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	maxTable  = 8 << 20
	maxText   = 1 << 20
	maxListed = 4096
)

// NewShare returns the probe of file systems of the network, of the system whose files are
// below root, usually "/".
func NewShare(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindShare, Schema: record.SchemaShare, Volatility: probe.Presence, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return shares(ctx, root, o) },
	})
}

func shares(ctx context.Context, root string, o *facts.Out) error {
	r, err := facts.Open(root)
	if err != nil {
		return err
	}
	defer r.Close()
	mounts, err := r.File("proc/1/mountinfo", maxTable)
	if err != nil {
		mounts, err = r.File("proc/self/mountinfo", maxTable)
	}
	o.Miss(err)
	var all []record.Share
	for line := range procfs.Lines(mounts) {
		if m, ok := procfs.ParseMount(line); ok && network(string(m.FSType)) {
			all = append(all, used(m))
		}
	}
	for _, f := range []struct {
		name  string
		parse func([]byte) []record.Share
	}{{"etc/exports", parseExports}, {"etc/samba/smb.conf", parseSamba}, {"var/lib/nfs/rmtab", parseRmtab}} {
		b, err := r.File(f.name, maxText)
		o.Miss(err)
		all = append(all, f.parse(b)...)
	}
	clients, err := r.List("proc/fs/nfsd/clients", maxListed)
	o.Miss(err)
	for _, c := range clients {
		b, err := r.File("proc/fs/nfsd/clients/"+c+"/info", maxText)
		o.Miss(err)
		if addr := clientAddress(b); addr != "" {
			all = append(all, record.Share{Type: record.ShareClient, FSType: "nfs4", Address: addr})
		}
	}
	for i := range all {
		if err := errors.Join(ctx.Err(), o.Write(&all[i])); err != nil {
			return err
		}
	}
	if len(mounts) == 0 && len(all) == 0 {
		return fs.ErrNotExist
	}
	return ctx.Err()
}

// network reports whether a kind of file system lies on another computer.
func network(kind string) bool {
	switch kind {
	case "nfs", "nfs4", "cifs", "smb3", "smbfs", "ceph", "9p", "afs", "lustre", "glusterfs", "fuse.glusterfs", "fuse.sshfs", "fuse.s3fs", "fuse.rclone", "fuse.davfs", "davfs", "virtiofs":
		return true
	}
	return false
}

func used(m procfs.Mount) record.Share {
	s := record.Share{Type: record.ShareUsed}
	s.FSType, _ = record.Text(m.FSType)
	s.Source, s.SourceB = record.Text(m.Source)
	s.Path, s.PathB = record.Text(m.Point)
	source := s.Source
	if rest, ok := strings.CutPrefix(source, "//"); ok {
		s.Server, _, _ = strings.Cut(rest, "/")
	} else if i := strings.LastIndex(source, ":/"); i > 0 {
		s.Server = strings.Trim(source[strings.LastIndexByte(source[:i], '@')+1:i], "[]")
	}
	for part := range bytes.SplitSeq(m.SuperOptions, []byte(",")) {
		text, _ := record.Text(part)
		name, value, _ := strings.Cut(text, "=")
		switch name {
		case "addr":
			s.Address = value
		case "password", "pass", "password2": // the kernel shows none, others may
			text = name
		}
		s.Options = append(s.Options, text)
	}
	return s
}

// parseExports reads exports(5): a folder, then who may mount it and how.
func parseExports(b []byte) (all []record.Share) {
	b = bytes.ReplaceAll(b, []byte("\\\n"), []byte(" "))
	for line := range procfs.Lines(b) {
		line, _, _ = bytes.Cut(line, []byte("#"))
		var dir, rest []byte
		line = bytes.TrimSpace(line)
		if bytes.HasPrefix(line, []byte(`"`)) {
			dir, rest, _ = bytes.Cut(line[1:], []byte(`"`))
		} else if i := bytes.IndexAny(line, " \t"); i >= 0 {
			dir, rest = line[:i], line[i:]
		} else {
			dir = line
		}
		if len(dir) == 0 || len(all) == maxListed {
			continue
		}
		s := record.Share{Type: record.ShareOffered, FSType: "nfs"}
		s.Path, s.PathB = record.Text(procfs.Unescape(dir))
		for w := range bytes.FieldsSeq(rest) {
			text, _ := record.Text(w)
			s.Options = append(s.Options, text)
		}
		all = append(all, s)
	}
	return all
}

// parseSamba reads the shares in smb.conf(5): a section each, with its path.
func parseSamba(b []byte) (all []record.Share) {
	var s *record.Share
	for line := range procfs.Lines(b) {
		line = bytes.TrimSpace(line)
		if len(line) > 2 && line[0] == '[' {
			name, _, _ := bytes.Cut(line[1:], []byte("]"))
			s = nil
			if text, raw := record.Text(bytes.TrimSpace(name)); text != "" && !strings.EqualFold(text, "global") && len(all) < maxListed {
				all = append(all, record.Share{Type: record.ShareOffered, FSType: "cifs", Source: text, SourceB: raw})
				s = &all[len(all)-1]
			}
			continue
		}
		name, value, ok := bytes.Cut(line, []byte("="))
		if s == nil || !ok || line[0] == '#' || line[0] == ';' {
			continue
		}
		text, raw := record.Text(bytes.TrimSpace(value))
		switch key := strings.ToLower(string(bytes.TrimSpace(name))); key {
		case "path", "directory":
			s.Path, s.PathB = text, raw
		case "read only", "writable", "writeable", "write ok", "guest ok", "public", "valid users", "hosts allow", "browseable", "browsable":
			s.Options = append(s.Options, key+"="+text)
		}
	}
	return all
}

// parseRmtab reads rmtab(5) of rpc.mountd(8): a computer, a folder, a count.
func parseRmtab(b []byte) (all []record.Share) {
	for line := range procfs.Lines(b) {
		i := bytes.Index(line, []byte(":/"))
		if i <= 0 || len(all) == maxListed {
			continue
		}
		dir := line[i+1:]
		if j := bytes.LastIndexByte(dir, ':'); j > 0 {
			dir = dir[:j]
		}
		s := record.Share{Type: record.ShareClient, FSType: "nfs"}
		s.Address, _ = record.Text(line[:i])
		s.Path, s.PathB = record.Text(dir)
		all = append(all, s)
	}
	return all
}

// clientAddress reads the address in the text of /proc/fs/nfsd/clients/N/info.
func clientAddress(b []byte) string {
	for name, value := range procfs.Fields(b) {
		if string(bytes.TrimSpace(name)) == "address" {
			text, _ := record.Text(bytes.Trim(value, `"`))
			return text
		}
	}
	return ""
}
