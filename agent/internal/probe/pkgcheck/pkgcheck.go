package pkgcheck

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"hozen/agent/internal/probe"
	"hozen/agent/internal/probe/facts"
	"hozen/agent/internal/probe/procfs"
	"hozen/agent/internal/probe/tree"
	"hozen/internal/artifact"
	"hozen/internal/artifact/record"
)

const (
	infoDir   = "var/lib/dpkg/info"
	sums      = ".md5sums"
	maxStatus = 32 << 20
	maxList   = 16 << 20
	maxLists  = 32768
	// maxFile is the longest file that is compared.
	maxFile = 1 << 30
	// maxTold is how many differences have a line each.
	maxTold = 5000
)

var (
	errUnreached = errors.New("the time was over before all files were compared")
	errOdd       = errors.New("lines of lists were not understood")
	errUnstable  = errors.New("it changes while it is read")
)

// New returns the probe of the system whose files are below root, usually "/".
func New(root string) probe.Probe {
	return facts.New(facts.Config{
		Kind: artifact.KindPkgCheck, Schema: record.SchemaPkgCheck, Volatility: probe.Derivable, OS: "linux",
		Read: func(ctx context.Context, o *facts.Out) error { return read(ctx, root, o) },
	})
}

// managers are others by their databases, which are not read.
const managers = "usr/lib/sysimage/rpm rpm var/lib/rpm rpm lib/apk/db apk var/lib/pacman/local pacman"

func other(t *tree.Tree) string {
	f := strings.Fields(managers)
	for i := 0; i < len(f); i += 2 {
		if d, err := t.Dir(f[i]); err == nil {
			d.Close()
			return f[i+1]
		}
	}
	return ""
}

type checker struct {
	ctx        context.Context
	t          *tree.Tree
	o          *facts.Out
	sum        record.PackageSummary
	told       int
	diversions map[string]diversion
	exclusions []exclusion
	buf        []byte
	// dir is the folder of the file before, which the next one is often in too.
	dir     *tree.Dir
	dirName string
}

func read(ctx context.Context, root string, o *facts.Out) error {
	t, err := tree.In(ctx, root)
	if err != nil {
		return err
	}
	lists, err := lists(t)
	if err != nil && tree.Why(err) == "gone" {
		if manager := other(t); manager != "" {
			return fmt.Errorf("the database of %s is not read: %w", manager, errors.ErrUnsupported)
		}
		return err
	}
	o.Miss(err)
	early, cancel := probe.Early(ctx)
	defer cancel()
	c := &checker{ctx: early, t: t, o: o, sum: record.PackageSummary{Type: record.PkgSummary, Manager: "dpkg"}, buf: make([]byte, 128<<10)}
	defer c.enter(nil, "")
	c.rules()
	status, err := t.Read("var/lib/dpkg/status", maxStatus)
	o.Miss(err)
	for phase := range phases {
		if phase == configs {
			var werr error
			installed := parseStatus(status, func(f conffile) {
				if werr == nil {
					werr = c.file(f.listed, f.pkg, true)
				}
			})
			c.sum.Packages, c.sum.Unlisted = int64(len(installed)), unlisted(installed, lists)
			if werr != nil {
				return werr
			}
			continue
		}
		if err := c.phase(phase, lists); err != nil {
			return err
		}
	}
	o.Missed(c.sum.Unreached, errUnreached)
	o.Missed(c.sum.Untold, tree.ErrMany)
	o.Missed(c.sum.Odd, errOdd)
	if err := o.Write(&c.sum); err != nil {
		return err
	}
	return ctx.Err()
}

// lists names the lists of digests.
func lists(t *tree.Tree) (names []string, err error) {
	d, err := t.Dir(infoDir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	all, more, err := d.Names(maxLists * 8)
	for _, n := range all {
		if strings.HasSuffix(n, sums) && len(names) < maxLists {
			names = append(names, n)
		}
	}
	if more {
		err = tree.At(infoDir, tree.ErrMany)
	}
	return names, err
}

// unlisted counts the packages without a list, whose names may have the architecture behind.
func unlisted(packages, lists []string) (n int64) {
	listed := make(map[string]bool, len(lists))
	for _, l := range lists {
		name, _, _ := strings.Cut(strings.TrimSuffix(l, sums), ":")
		listed[name] = true
	}
	for _, p := range packages {
		if !listed[p] {
			n++
		}
	}
	return n
}

// rules reads where files lie elsewhere and which are not installed.
func (c *checker) rules() {
	b, err := c.t.Read("var/lib/dpkg/diversions", maxList)
	c.o.Miss(err)
	c.diversions = parseDiversions(b)
	files := []string{"etc/dpkg/dpkg.cfg"}
	if d, err := c.t.Dir("etc/dpkg/dpkg.cfg.d"); err == nil {
		names, _, _ := d.Names(1024)
		d.Close()
		for _, n := range names {
			files = append(files, "etc/dpkg/dpkg.cfg.d/"+n)
		}
	}
	for _, f := range files {
		b, err := c.t.Read(f, 1<<20)
		c.o.Miss(err)
		c.exclusions = append(c.exclusions, parseExclusions(b)...)
	}
}

// phase compares the files of one phase in all lists.
func (c *checker) phase(phase int, lists []string) error {
	for _, name := range lists {
		b, err := c.t.Read(infoDir+"/"+name, maxList)
		if phase == programs { // told once
			c.o.Miss(err)
		}
		pkg := strings.TrimSuffix(name, sums)
		for line := range procfs.Lines(b) {
			l, ok := parseSum(line)
			if !ok {
				if phase == programs && len(line) > 0 {
					c.sum.Odd++
				}
				continue
			}
			if phaseOf(l.path) != phase {
				continue
			}
			if err := c.file(l, pkg, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// file compares one file. An error is the writer's.
func (c *checker) file(l listed, pkg string, conf bool) error {
	c.sum.Listed++
	if c.ctx.Err() != nil {
		c.sum.Unreached++
		return nil
	}
	f := record.PackageFile{Type: record.PkgFile, Conffile: conf, ExpectedMD5: l.md5, UID: record.Unknown, GID: record.Unknown}
	f.Package, f.PackageRaw = record.TextOf(pkg)
	f.Path, f.PathRaw = record.TextOf("/" + l.path)
	at := l.path
	name, _, _ := strings.Cut(pkg, ":") // libc6:amd64
	if d, ok := c.diversions[l.path]; ok && d.pkg != name && !conf {
		at = d.to
		f.At, f.AtRaw = record.TextOf("/" + at)
	}
	switch err := c.compare(&f, at); {
	case err == nil && f.State == "":
		c.sum.Compared++
		return nil
	case err == nil:
	case errors.Is(err, tree.ErrLink), errors.Is(err, tree.ErrNotRegular):
		f.State = record.PkgNotFile
	case tree.Why(err) == "gone":
		if excluded(c.exclusions, "/"+l.path) {
			c.sum.LeftOut++
			return nil
		}
		f.State = record.PkgMissing
	default:
		f.State, f.Unread = record.PkgUnread, tree.Why(err)
		if c.ctx.Err() != nil {
			c.sum.Unreached++
			return nil
		}
		c.o.Miss(err)
	}
	switch f.State {
	case record.PkgChanged:
		c.sum.Changed++
		c.sum.Compared++
	case record.PkgMissing:
		c.sum.Missing++
	case record.PkgNotFile:
		c.sum.NotFile++
	default:
		c.sum.Unread++
	}
	if c.told++; c.told > maxTold {
		c.sum.Untold++
		return nil
	}
	return c.o.Write(&f)
}

// enter makes d the folder that is kept open.
func (c *checker) enter(d *tree.Dir, name string) {
	if c.dir != nil {
		c.dir.Close()
	}
	c.dir, c.dirName = d, name
}

// compare reads what lies at a path and fills in how it differs.
func (c *checker) compare(f *record.PackageFile, at string) error {
	dir, name := tree.Split(at)
	if c.dir == nil || c.dirName != dir {
		d, err := c.t.Dir(dir)
		if err != nil {
			return err
		}
		c.enter(d, dir)
	}
	var st tree.Info
	if err := c.dir.Stat(name, &st); err != nil {
		return err
	}
	file, err := c.dir.Open(name)
	if err == nil {
		defer file.Close()
		if file.Info.Size > maxFile {
			f.State, f.Unread, err = record.PkgUnread, "too_long", nil
			c.o.Miss(tree.At(at, tree.ErrMany))
		} else {
			err = c.read(f, file, at)
		}
	}
	if err == nil && f.State == "" {
		return nil
	}
	var known record.FileTimes
	target := ""
	if st.IsLink() {
		target, _ = c.dir.Readlink(name)
	}
	st.Record(&known, at, target)
	f.FileKind, f.Mode, f.UID, f.GID, f.Size, f.Target, f.TargetRaw = known.FileKind, known.Mode, known.UID, known.GID, known.Size, known.Target, known.TargetRaw
	f.Modified, f.Changed, f.Born = known.Modified, known.Changed, known.Born
	return err
}

// read compares the content of a file, twice where it differs.
func (c *checker) read(f *record.PackageFile, file *tree.File, at string) error {
	got, _, err := c.digest(file, false)
	if err != nil || got == f.ExpectedMD5 {
		return err
	}
	again, sum, err := c.digest(file, true)
	if err != nil || again == f.ExpectedMD5 {
		return err
	}
	f.State, f.MD5, f.SHA256 = record.PkgChanged, again, sum
	if again != got {
		f.State, f.Unread = record.PkgUnread, "unstable"
		c.o.Miss(tree.At(at, errUnstable))
	}
	return nil
}

// digest reads a file and returns its digests, the longer one where it is wanted.
func (c *checker) digest(f *tree.File, both bool) (short, long string, err error) {
	h, l := md5.New(), sha256.New()
	for at := int64(0); ; {
		if err := c.ctx.Err(); err != nil {
			return "", "", err
		}
		n, err := f.ReadAt(c.buf, at)
		h.Write(c.buf[:n])
		if both {
			l.Write(c.buf[:n])
		}
		c.sum.Bytes += int64(n)
		at += int64(n)
		if errors.Is(err, io.EOF) || at > maxFile {
			break
		}
		if err != nil {
			return "", "", err
		}
	}
	return hex.EncodeToString(h.Sum(nil)), hex.EncodeToString(l.Sum(nil)), nil
}
