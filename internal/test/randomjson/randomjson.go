// Package randomjson makes up JSON documents that are valid and full of what
// is allowed, for tests.
package randomjson

import (
	"bytes"
	"math/rand/v2"
	"strings"
)

// ID is a text that some of the documents contain.
const ID = "5f1cf1f6-3b0c-4a3c-9c1f-2a7d0e6b4f10"

// Document returns the document of a seed, and the same document without
// comments, trailing commas and byte order mark.
func Document(seed uint64) (text, strict []byte) {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0))}
	g.document()
	return g.text.Bytes(), g.strict.Bytes()
}

type generator struct {
	*rand.Rand
	text, strict                    bytes.Buffer
	comments, trailingCommas, lines bool
	newline                         string
	unit                            string
}

func (g *generator) document() {
	g.comments, g.trailingCommas, g.lines = g.maybe(2), g.maybe(2), g.maybe(2)
	g.newline = g.pick("\n", "\r\n")
	g.unit = g.pick("", " ", "  ", "    ", "\t")
	g.text.WriteString(g.pick("", "", "", "\xef\xbb\xbf"))
	g.gap(0)
	g.object(0)
	g.gap(0)
	if g.comments && g.maybe(4) {
		g.text.WriteString("// end")
	}
}

func (g *generator) object(level int) {
	names := []string{"a", "b", "c", "telemetry", "installation_id", `\u0061`, `telemetr\u0079`, "enabled", "", "é\\\"", "//", "{"}
	g.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	g.list(level, "{", "}", func(i int) {
		g.write(`"` + names[i%len(names)] + `"`)
		g.gap(-1)
		g.write(":")
		g.gap(-1)
		g.value(level + 1)
	})
}

func (g *generator) value(level int) {
	switch {
	case level < 5 && g.maybe(2):
		g.object(level)
	case level < 5 && g.maybe(4):
		g.list(level, "[", "]", func(int) { g.value(level + 1) })
	default:
		g.write(g.pick(`1`, `-0.50e+400`, `true`, `null`, `""`, `"/* x */"`, `"\\\"//"`, `"é\ud83d\ude00\ud800"`, `"`+ID+`"`))
	}
}

func (g *generator) list(level int, open, close string, element func(i int)) {
	g.write(open)
	n := g.IntN(4)
	for i := range n {
		if i > 0 {
			g.write(",")
		}
		g.gap(level + 1)
		element(i)
		if g.maybe(4) {
			g.gap(-1)
		}
	}
	if n > 0 && g.trailingCommas && g.maybe(2) {
		g.text.WriteString(",")
	}
	if n > 0 || g.maybe(2) {
		g.gap(level)
	}
	g.write(close)
}

// gap writes what is allowed between two tokens, the second of which is
// indented by level if it begins a line.
func (g *generator) gap(level int) {
	if g.comments && g.maybe(6) {
		g.write(g.pick(" ", "", g.newline))
		g.text.WriteString(g.pick("/**/", "/* { \" */", "/*"+g.newline+" // */", "// } \""+g.newline, "//"+g.newline))
	}
	if g.lines && level >= 0 && !g.maybe(20) {
		g.write(g.newline + strings.Repeat(g.unit, level))
	} else {
		g.write(g.pick("", " "))
	}
}

func (g *generator) write(s string) {
	g.text.WriteString(s)
	g.strict.WriteString(s)
}

func (g *generator) maybe(n int) bool           { return g.IntN(n) == 0 }
func (g *generator) pick(from ...string) string { return from[g.IntN(len(from))] }
