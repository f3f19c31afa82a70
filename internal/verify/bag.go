package verify

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Names of the files of a BagIt folder (RFC 8493).
const (
	fileBagit    = "bagit.txt"
	fileBagInfo  = "bag-info.txt"
	filePayload  = "manifest-sha256.txt"
	fileTags     = "tagmanifest-sha256.txt"
	bagitContent = "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n"
)

// Limits of lists, in bytes.
const (
	maxList = 256 << 20
	maxTag  = 16 << 20
)

var (
	listLine = regexp.MustCompile(`^([0-9a-f]{64})  (\S.*)$`)
	oxumLine = regexp.MustCompile(`(?m)^Payload-Oxum: ([0-9]+)\.([0-9]+)$`)
)

// lists reads the lists of the bag and holds them against the files that are there. It
// returns the digest that each file must have.
func (p *pack) lists() (map[string]string, bool) {
	p.parts[partBag].Outcome = Fits
	if b := p.small(partBag, fileBagit, maxSmall); b == nil {
		return nil, false
	} else if string(b) != bagitContent {
		p.problem(partBag, codeBag, fileBagit, "it is not that of version 1.0 in UTF-8")
	}
	payload, tags := p.readList(filePayload, true), p.readList(fileTags, false)
	if payload == nil || tags == nil {
		return nil, false
	}
	all := map[string]string{}
	var octets, count int64
	for _, f := range p.tree.files() {
		p.report.Files++
		p.report.Bytes += f.size
		sum := ""
		if strings.HasPrefix(f.name, "data/") {
			sum = payload[f.name]
			octets, count = octets+f.size, count+1
			delete(payload, f.name)
		} else {
			sum = tags[f.name]
			delete(tags, f.name)
		}
		if sum != "" {
			all[f.name] = sum
		} else if f.name != fileTags {
			p.problem(partBag, codeExtra, f.name, "no list of the bag has it")
		}
	}
	for _, left := range []map[string]string{payload, tags} {
		for _, name := range slices.Sorted(mapKeys(left)) {
			p.problem(partBag, codeMissing, name, "")
		}
	}
	for _, name := range []string{fileBagit, fileBagInfo, filePayload} {
		if all[name] == "" {
			p.problem(partBag, codeBag, fileTags, "it does not list %s", name)
		}
	}
	if info := p.small(partBag, fileBagInfo, maxSmall); info != nil {
		if m := oxumLine.FindSubmatch(info); m == nil || string(m[1]) != fmt.Sprint(octets) || string(m[2]) != fmt.Sprint(count) {
			p.problem(partBag, codeBag, fileBagInfo, "its Payload-Oxum is not %d.%d", octets, count)
		}
	}
	return all, true
}

func mapKeys[V any](m map[string]V) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// readList reads a list of digests as sha256sum writes it.
func (p *pack) readList(name string, payload bool) map[string]string {
	b := p.small(partBag, name, maxList)
	if b == nil {
		return nil
	}
	list := map[string]string{}
	if bytes.Count(b, []byte{'\n'}) > maxZipNames {
		p.problem(partBag, codeTooLarge, name, "more than %d lines", maxZipNames)
		return nil
	}
	text := string(b)
	for n := 1; text != ""; n++ {
		line, rest, ended := strings.Cut(text, "\n")
		text = rest
		m := listLine.FindStringSubmatch(line)
		if m == nil || !ended {
			p.problem(partBag, codeBag, name, "line %d is not a digest, two spaces and a name", n)
			return nil
		}
		if _, twice := list[m[2]]; twice || strings.HasPrefix(m[2], "data/") != payload || path.Clean(m[2]) != m[2] || strings.HasPrefix(m[2], "../") || strings.HasPrefix(m[2], "/") || strings.ContainsAny(m[2], `\%`) {
			p.problem(partBag, codeBag, name, "line %d: %.200q stands twice or is not a name of this list", n, m[2])
			return nil
		}
		list[m[2]] = m[1]
	}
	return list
}

// hash reads every file whose digest is not proven yet.
func (p *pack) hash(ctx context.Context, want map[string]string) error {
	var names []string
	for _, f := range p.tree.files() {
		if want[f.name] == "" {
			continue
		}
		p.parts[partBag].Count++
		if sum := p.originalSums[f.name]; sum != "" && sum != want[f.name] {
			p.problem(partDecoded, codeDecoded, f.name, "the list says %s, the sealed evidence carries %s", want[f.name], sum)
		}
		if got, ok := p.digests[f.name]; !ok {
			names = append(names, f.name)
		} else if got != want[f.name] {
			p.problem(partBag, codeDigest, f.name, "the list says %s, it has %s", want[f.name], got)
		}
	}
	type result struct {
		sum string
		why *Problem
	}
	results := make([]result, len(names))
	if err := each(ctx, len(names), func(_ *hands, i int) {
		results[i].sum, results[i].why = digestOf(ctx, p.tree, names[i])
	}); err != nil {
		return err
	}
	for i, name := range names {
		switch r := results[i]; {
		case r.why != nil:
			p.problem(partBag, r.why.Code, name, "%s", r.why.Detail)
		case r.sum != want[name]:
			p.problem(partBag, codeDigest, name, "the list says %s, it has %s", want[name], r.sum)
		default:
			p.digests[name] = r.sum
		}
	}
	return nil
}

func digestOf(ctx context.Context, t tree, name string) (string, *Problem) {
	f, _, why := t.open(name)
	if why != nil {
		return "", why
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.CopyBuffer(struct{ io.Writer }{h}, &patient{ctx, f}, make([]byte, 128<<10)); err != nil {
		return "", &Problem{Code: codeZipData, Detail: err.Error()}
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// each does n things on all processors. The error is ctx's.
func each(ctx context.Context, n int, do func(w *hands, i int)) error {
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0), 8) {
		wg.Go(func() {
			w := &hands{}
			defer w.close()
			for i := range next {
				do(w, i)
			}
		})
	}
	for i := range n {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

// diskTree is an unpacked package.
type diskTree struct {
	disk
	all []sized
}

func (d *diskTree) files() []sized { return d.all }

// walk lists the files of an unpacked package. What is no plain file is a problem.
func (p *pack) walk(root *os.Root) *diskTree {
	d := &diskTree{disk: disk{root}}
	err := fs.WalkDir(root.FS(), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			p.problem(partBag, codeUnreadable, name, "%v", err)
			return nil
		}
		if e.IsDir() {
			return nil
		}
		if len(d.all) == maxZipNames {
			p.problem(partBag, codeTooLarge, name, "more than %d files", maxZipNames)
			return fs.SkipAll
		}
		fi, err := e.Info()
		if err != nil || !fi.Mode().IsRegular() {
			p.problem(partBag, codeNotRegular, name, "%s", e.Type())
			return nil
		}
		d.all = append(d.all, sized{name, fi.Size()})
		return nil
	})
	if err != nil {
		p.problem(partBag, codeUnreadable, ".", "%v", err)
	}
	slices.SortFunc(d.all, func(a, b sized) int { return strings.Compare(a.name, b.name) })
	return d
}
