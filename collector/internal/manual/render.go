package manual

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/renderer"
	"github.com/yuin/goldmark/renderer/html"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
)

// render makes a page of Markdown. words gives the text of a key of the console.
func render(src []byte, slug string, words func(key string) (string, bool)) (Page, error) {
	p := Page{Slug: slug}
	md := goldmark.New(
		goldmark.WithExtensions(extension.DefinitionList),
		goldmark.WithParserOptions(parser.WithAttribute(), parser.WithInlineParsers(util.Prioritized(wordParser{words}, 50))),
		// Lines of Japanese go on without a blank between them.
		goldmark.WithRendererOptions(html.WithEastAsianLineBreaks(html.EastAsianLineBreaksCSS3Draft), renderer.WithNodeRenderers(util.Prioritized(wordRenderer{}, 50))),
	)
	doc := md.Parser().Parse(text.NewReader(src))
	title, ok := doc.FirstChild().(*ast.Heading)
	if !ok || title.Level != 1 {
		return p, errors.New("want a heading of the first level first")
	}
	p.Title = plain(title, src)
	doc.RemoveChild(doc, title)
	if lead, ok := doc.FirstChild().(*ast.Paragraph); ok {
		p.Lead = plain(lead, src)
	}
	err := ast.Walk(doc, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		return ast.WalkContinue, p.check(n, src)
	})
	if err != nil {
		return p, err
	}
	for n := doc.FirstChild(); n != nil; n = n.NextSibling() {
		if h, ok := n.(*ast.Heading); ok {
			id, _ := h.AttributeString("id")
			p.Sections = append(p.Sections, Section{ID: string(id.([]byte)), Title: plain(h, src), Level: h.Level})
		} else if k := len(p.Sections); k > 0 {
			p.Sections[k-1].text += plain(n, src) + "\n"
		}
	}
	var b bytes.Buffer
	if err := md.Renderer().Render(&b, src, doc); err != nil {
		return p, fmt.Errorf("render: %w", err)
	}
	p.HTML = b.String()
	return p, nil
}

// check refuses what a page of the manual may not have, and leads links to where the
// manual stands.
func (p *Page) check(n ast.Node, src []byte) error {
	switch n := n.(type) {
	case *ast.HTMLBlock, *ast.RawHTML:
		return errors.New("there is HTML in it")
	case *ast.Image, *ast.AutoLink:
		return errors.New("there is a picture or a bare address in it")
	case *ast.Heading:
		id, ok := n.AttributeString("id")
		if name, _ := id.([]byte); !ok || len(name) == 0 || n.Level < 2 || n.Level > 3 || n.Parent().Kind() != ast.KindDocument {
			return fmt.Errorf("the heading %q needs an identifier and the second or third level", plain(n, src))
		}
	case *wordNode:
		if n.text == "" || strings.ContainsAny(n.text, "{}") {
			return fmt.Errorf("the console has no plain text %q", n.key)
		}
	case *ast.Link:
		return p.lead(n)
	}
	return nil
}

// lead rewrites a link, and remembers where it goes.
func (p *Page) lead(n *ast.Link) error {
	to := string(n.Destination)
	file, id, section := strings.Cut(to, "#")
	slug, page := strings.CutSuffix(file, ".md")
	switch {
	case section && file == "":
		p.links = append(p.links, p.Slug+"#"+id)
	case page && !strings.Contains(slug, "/"):
		target := slug
		if section {
			target += "#" + id
		}
		p.links = append(p.links, target)
		n.Destination = []byte(Root + "/" + target)
	case strings.HasPrefix(to, "/") && !strings.HasPrefix(to, "//"):
		p.Consoles = append(p.Consoles, to)
	default:
		return fmt.Errorf("a link leads to %q: want a page.md, a #heading or a path of the console", to)
	}
	return nil
}

// plain is what is read of a node: its text without marks.
func plain(n ast.Node, src []byte) string {
	var b strings.Builder
	_ = ast.Walk(n, func(c ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			if c.Type() == ast.TypeBlock && c != n {
				b.WriteByte(' ')
			}
			return ast.WalkContinue, nil
		}
		switch c := c.(type) {
		case *ast.Text:
			b.Write(c.Segment.Value(src))
			if c.SoftLineBreak() && c.Segment.Len() > 0 && c.Segment.Value(src)[c.Segment.Len()-1] < 0x80 {
				b.WriteByte(' ')
			}
		case *wordNode:
			b.WriteString(c.text)
		case *ast.FencedCodeBlock, *ast.CodeBlock:
			for i := range c.Lines().Len() {
				line := c.Lines().At(i)
				b.Write(line.Value(src))
			}
		}
		return ast.WalkContinue, nil
	})
	return strings.Join(strings.Fields(b.String()), " ")
}

// wordNode is a text of the console, named by its key.
type wordNode struct {
	ast.BaseInline
	key, text string
}

var kindWord = ast.NewNodeKind("Word")

// Kind implements [ast.Node].
func (*wordNode) Kind() ast.NodeKind { return kindWord }

// Dump implements [ast.Node].
func (n *wordNode) Dump(src []byte, level int) {
	ast.DumpHelper(n, src, level, map[string]string{"key": n.key, "text": n.text}, nil)
}

// wordParser reads {{key}}.
type wordParser struct {
	words func(key string) (string, bool)
}

// Trigger implements [parser.InlineParser].
func (wordParser) Trigger() []byte { return []byte{'{'} }

// Parse implements [parser.InlineParser]. A key without a text makes an empty word, which
// [Page.check] refuses.
func (p wordParser) Parse(_ ast.Node, block text.Reader, _ parser.Context) ast.Node {
	line, _ := block.PeekLine()
	end := bytes.Index(line, []byte("}}"))
	if !bytes.HasPrefix(line, []byte("{{")) || end < 0 {
		return nil
	}
	n := &wordNode{key: string(line[2:end])}
	if t, ok := p.words(n.key); ok {
		n.text = t
	}
	block.Advance(end + 2)
	return n
}

// wordRenderer writes a text of the console in bold.
type wordRenderer struct{}

// RegisterFuncs implements [renderer.NodeRenderer].
func (wordRenderer) RegisterFuncs(r renderer.NodeRendererFuncRegisterer) {
	r.Register(kindWord, func(w util.BufWriter, _ []byte, n ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			_, _ = w.WriteString("<b>" + string(util.EscapeHTML([]byte(n.(*wordNode).text))) + "</b>")
		}
		return ast.WalkContinue, nil
	})
}
