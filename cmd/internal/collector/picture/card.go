package picture

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"sync"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
)

// The size of a card, in pixels: what sites that show links ask for.
const (
	CardWidth  = 1200
	CardHeight = 630
)

// fonts are the Go fonts, parsed once. They have Latin, Greek, and Cyrillic.
var fonts = sync.OnceValues(func() ([2]*opentype.Font, error) {
	var parsed [2]*opentype.Font
	for i, data := range [][]byte{goregular.TTF, gobold.TTF} {
		var err error
		if parsed[i], err = opentype.Parse(data); err != nil {
			return parsed, fmt.Errorf("parse font: %w", err)
		}
	}
	return parsed, nil
})

const (
	regular = iota
	bold
)

// A canvas draws a card.
type canvas struct {
	*image.Paletted
	palette
	faces []font.Face
}

// PNG draws a card of a chart over time, in light colours. If a name has letters
// that the fonts lack, the card has the key of the app.
func PNG(c Chart) ([]byte, error) {
	parsed, err := fonts()
	if err != nil {
		return nil, err
	}
	p := palettes[Light]
	k := canvas{image.NewPaletted(image.Rect(0, 0, CardWidth, CardHeight), shades(p)), p, nil}
	defer func() {
		for _, face := range k.faces {
			face.Close()
		}
	}()
	face := func(weight int, size float64) font.Face {
		f, faceErr := opentype.NewFace(parsed[weight], &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingNone})
		if faceErr != nil {
			err = fmt.Errorf("draw card: %w", faceErr)
			return nil
		}
		k.faces = append(k.faces, f)
		return f
	}
	large, figure, usual, small := face(bold, 54), face(bold, 132), face(regular, 34), face(regular, 24)
	if err != nil {
		return nil, err
	}
	const left, right = 72, CardWidth - 72
	k.box(0, 0, CardWidth, CardHeight, p.back)
	k.box(0, 0, CardWidth, 12, p.bar)
	name := c.App
	for _, r := range name {
		if _, ok := large.GlyphAdvance(r); !ok || !has(parsed[bold], r) {
			name = c.Key
			break
		}
	}
	k.text(left, 112, large, p.text, fit(large, name, right-left))
	k.text(left, 166, usual, p.quiet, fit(usual, c.Title, right-left))
	k.text(left, 312, figure, p.bar, fit(figure, c.Value, right-left))
	k.text(left, 366, small, p.quiet, fit(small, c.Note, right-left))
	k.bars(c, left, right, small)
	var b bytes.Buffer
	if err := png.Encode(&b, k); err != nil {
		return nil, fmt.Errorf("draw card: %w", err)
	}
	return b.Bytes(), nil
}

func has(f *opentype.Font, r rune) bool {
	i, err := f.GlyphIndex(nil, r)
	return err == nil && i != 0
}

// bars draws the columns of a card.
func (k canvas) bars(c Chart, left, right int, small font.Face) {
	const top, bottom = 420, 556
	k.box(left, bottom, right, bottom+2, k.rule)
	step := (right - left) / max(len(c.Bars), 8)
	most := c.most()
	for i, bar := range c.Bars {
		x := left + i*step
		size := 0
		if most > 0 {
			size = int((bottom - top) * bar.Value / most)
		}
		switch {
		case bar.Hidden:
			k.box(x, bottom-8, x+step*7/10, bottom, k.rule)
		case bar.Value > 0:
			k.box(x, bottom-max(size, 2), x+step*7/10, bottom, k.bar)
		}
		if i == 0 || i == len(c.Bars)-1 && i > 1 {
			k.text(x, bottom+36, small, k.quiet, bar.Name)
		}
	}
}

// shades are the colours of a card: each on its background, for the edges of
// letters.
func shades(p palette) (all color.Palette) {
	back := rgb(p.back)
	const steps = 16
	for _, ink := range []string{p.text, p.quiet, p.bar, p.rule} {
		to := rgb(ink)
		for i := range steps + 1 {
			mix := func(a, b uint8) uint8 { return uint8((int(a)*(steps-i) + int(b)*i) / steps) }
			all = append(all, color.RGBA{mix(back.R, to.R), mix(back.G, to.G), mix(back.B, to.B), 0xff})
		}
	}
	return all
}

func rgb(hex string) color.RGBA {
	var r, g, b uint8
	_, _ = fmt.Sscanf(hex, "#%02x%02x%02x", &r, &g, &b) // of the palettes above
	return color.RGBA{r, g, b, 0xff}
}

func (k canvas) box(x0, y0, x1, y1 int, hex string) {
	draw.Draw(k, image.Rect(x0, y0, x1, y1), image.NewUniform(rgb(hex)), image.Point{}, draw.Src)
}

func (k canvas) text(x, y int, face font.Face, hex, text string) {
	d := font.Drawer{Dst: k, Src: image.NewUniform(rgb(hex)), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
}

// fit shortens a text to a width in pixels.
func fit(face font.Face, text string, width int) string {
	for n := len([]rune(text)); n > 1; n-- {
		if short := Cut(text, n); font.MeasureString(face, short).Ceil() <= width {
			return short
		}
	}
	return Cut(text, 2)
}
