package picture_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/png"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/picture"
)

// charts are charts of all kinds, by name.
func charts() map[string]picture.Chart {
	active := picture.Chart{
		App: "Frigate Helper", Key: "frigate-helper", Title: "Active installations", Note: "28 days to 29 November 2026, opted-in installations",
		Value: "1,180", OverTime: true,
	}
	for i, n := range []float64{0, 0, 35, 80, 155, 300, 410, 520, 640, 760, 905, 1040, 1180} {
		active.Bars = append(active.Bars, picture.Bar{Name: fmt.Sprintf("%d Nov", i+1), Value: n, Text: fmt.Sprint(n), Hidden: i < 2})
	}
	one := active
	one.Bars = active.Bars[12:]
	none := active
	none.Bars, none.Value, none.Note = nil, "none yet", "First figures on 3 January 2027"
	versions := active
	versions.Title, versions.Value, versions.OverTime, versions.Bars = "Versions", "1.2.2", false, []picture.Bar{
		{Name: "1.2.2", Value: .65, Text: "65%"}, {Name: "1.2.1", Value: .2, Text: "20%"}, {Name: "1.1.0-a-very-long-name-of-a-version-that-goes-on", Value: .1, Text: "10%"}, {Name: "other", Value: .05, Text: "5%"},
	}
	evil := active
	evil.App, evil.Value, evil.Note = `</svg><script>alert(1)</script>"'&`, "<b>\x00\u202e", strings.Repeat("<i>", 500)
	evil.Bars = []picture.Bar{{Name: `"><img src=x>`, Text: "]]>", Value: 1}}
	foreign := active
	foreign.App = "日本語アプリ"
	long := active
	long.App = strings.Repeat("A long name ", 20)
	return map[string]picture.Chart{"active": active, "one": one, "none": none, "versions": versions, "evil": evil, "foreign": foreign, "long": long}
}

// An SVG is well-formed in each theme and size, with nothing in it that loads or
// runs.
func TestSVG(t *testing.T) {
	for name, c := range charts() {
		for _, theme := range []picture.Theme{picture.Light, picture.Dark, picture.Auto} {
			for _, size := range [][2]int{{640, 240}, {picture.MinWidth, picture.MinHeight}, {picture.MaxWidth, picture.MaxHeight}} {
				svg := picture.SVG(c, theme, size[0], size[1])
				decoder := xml.NewDecoder(bytes.NewReader(svg))
				for {
					token, err := decoder.Token()
					if err == io.EOF {
						break
					}
					if err != nil {
						t.Fatalf("%s: %v in %s", name, err, svg)
					}
					start, ok := token.(xml.StartElement)
					if !ok {
						continue
					}
					switch start.Name.Local {
					case "svg", "title", "style", "rect", "text":
					default:
						t.Errorf("%s has the element %s", name, start.Name.Local)
					}
					for _, attr := range start.Attr {
						if n := attr.Name.Local; strings.HasPrefix(n, "on") || strings.Contains(n, "href") {
							t.Errorf("%s has the attribute %s", name, n)
						}
					}
				}
				dark, light := strings.Contains(string(svg), "#62b6dc"), strings.Contains(string(svg), "#0b6e99")
				if dark != (theme != picture.Light) || light != (theme != picture.Dark) || strings.Contains(string(svg), "prefers-color-scheme") != (theme == picture.Auto) {
					t.Errorf("%s has other colours than those of %s", name, theme)
				}
				if len(svg) > 12<<10 {
					t.Errorf("%s has %d bytes", name, len(svg))
				}
				if theme == picture.Auto && size[0] == 640 {
					save(t, name+".svg", svg)
				}
			}
		}
	}
}

// A card is a PNG of the size that sites want, and small.
func TestPNG(t *testing.T) {
	for name, c := range charts() {
		data, err := picture.PNG(c)
		if err != nil {
			t.Fatal(err)
		}
		config, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil || config.Width != 1200 || config.Height != 630 || len(data) > 60<<10 {
			t.Errorf("%s: got %d x %d in %d bytes, %v", name, config.Width, config.Height, len(data), err)
		}
		save(t, name+".png", data)
	}
	// A name without glyphs gives way to the key.
	c := charts()["foreign"]
	foreign, err := picture.PNG(c)
	if err != nil {
		t.Fatal(err)
	}
	c.App = c.Key
	if key, err := picture.PNG(c); err != nil || !bytes.Equal(foreign, key) {
		t.Errorf("the name in foreign letters is drawn: %v", err)
	}
}

// save keeps a picture to be looked at, if ROLLCALL_PICTURES names a directory.
func save(t *testing.T, name string, data []byte) {
	t.Helper()
	if dir := os.Getenv("ROLLCALL_PICTURES"); dir != "" {
		if err := os.WriteFile(dir+"/"+name, data, 0o600); err != nil {
			t.Error(err)
		}
	}
}

func BenchmarkPNG(b *testing.B) {
	c := charts()["active"]
	for b.Loop() {
		data, err := picture.PNG(c)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(data)), "bytes")
	}
}

func BenchmarkSVG(b *testing.B) {
	c := charts()["active"]
	for b.Loop() {
		b.ReportMetric(float64(len(picture.SVG(c, picture.Auto, 640, 240))), "bytes")
	}
}
