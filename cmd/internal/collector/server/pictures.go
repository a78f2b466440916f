package server

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/picture"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// pictureAge is how long a cache may keep a picture, which changes every four
// weeks.
const pictureAge = time.Hour

// The usual size of a chart, in pixels.
const (
	usualWidth  = 640
	usualHeight = 240
)

// publicApp returns the app of a request if it is public, and refuses the request
// otherwise.
func (s *Server) publicApp(w http.ResponseWriter, r *http.Request) (collector.App, bool) {
	app, ok := s.engine.App(r.PathValue("app"))
	if ok = ok && app.Public; !ok {
		refuse(w, http.StatusNotFound, reasonNotFound, "there is no public app with this key")
	}
	return app, ok
}

// writePicture writes an image that any site may show.
func writePicture(w http.ResponseWriter, r *http.Request, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	sum := sha256.Sum256(body)
	if !respond.UnchangedForAll(w, r, fmt.Sprintf("%x", sum[:8]), pictureAge) {
		h.Set("Content-Type", kind)
		if kind == "image/png" { // which is compressed
			w.Write(body)
			return
		}
		respond.Body(w, r, body)
	}
}

// chart draws public figures of a public app as SVG: active.svg, the installations
// by window, or the name of a dimension, such as version.svg, the installations of
// the latest window by value.
func (s *Server) chart(w http.ResponseWriter, r *http.Request) {
	app, ok := s.publicApp(w, r)
	if !ok {
		return
	}
	q := &query{engine: s.engine, app: app, view: figures.PublicView(app), values: r.URL.Query()}
	if !q.restrict(w, []string{"theme", "width", "height"}) {
		return
	}
	theme := picture.Theme(q.text("theme", string(picture.Auto)))
	if !slices.Contains([]picture.Theme{picture.Light, picture.Dark, picture.Auto}, theme) {
		q.fail("theme", "%.40q is not light, dark, or auto", theme)
	}
	width := q.size("width", usualWidth, picture.MinWidth, picture.MaxWidth)
	height := q.size("height", usualHeight, picture.MinHeight, picture.MaxHeight)
	if q.err != nil {
		s.refuseQuery(w, q.err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	name, svg := strings.CutSuffix(r.PathValue("chart"), ".svg")
	c, err := picture.Chart{}, error(nil)
	switch {
	case svg && name == "active":
		c, err = s.activeChart(ctx, app)
	case svg && s.publicDimension(ctx, app, name):
		c, err = s.valuesChart(ctx, app, name)
	default:
		refuse(w, http.StatusNotFound, reasonNotFound, "the charts are active.svg and the names of the public dimensions, such as version.svg")
		return
	}
	if err != nil {
		s.refuseQuery(w, err)
		return
	}
	writePicture(w, r, "image/svg+xml", picture.SVG(c, theme, width, height))
}

// size returns a parameter within bounds.
func (q *query) size(name string, usual, least, most int) int {
	text := q.values.Get(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		q.fail(name, "%.40q is not a number of pixels from %d to %d", text, least, most)
	}
	return n
}

func (s *Server) publicDimension(ctx context.Context, app collector.App, name string) bool {
	names, err := s.engine.Dimensions(ctx, app.Num, figures.PublicView(app))
	return err == nil && (slices.Contains(names, name) || name == collector.DimVersion)
}

func newChart(app collector.App, title string) picture.Chart {
	return picture.Chart{App: insight.Clean(cmp.Or(app.Name, app.Key)), Key: app.Key, Title: title, Value: noneYet}
}

// windowText describes a public window.
func windowText(last collector.Day) string {
	return fmt.Sprintf("%d days to %s, opted-in installations", collector.PublicDays, last.Time().Format("2 January 2006"))
}

// activeChart has the established installations of the latest windows.
func (s *Server) activeChart(ctx context.Context, app collector.App) (picture.Chart, error) {
	c := newChart(app, "Active installations")
	c.OverTime = true
	today, _, err := s.engine.Today(app.Num)
	if err != nil {
		return c, err
	}
	last := collector.LastPublicDay(today - 1)
	c.Note = fmt.Sprintf("First figures on %s", (last + collector.PublicDays + 1).Time().Format("2 January 2006"))
	span := collector.Range{From: last - (picture.MaxBars-1)*collector.PublicDays, To: last}
	series, err := s.engine.Series(ctx, app.Num, span, figures.PublicView(app))
	if err != nil {
		return c, err
	}
	few := "under " + strconv.Itoa(cmp.Or(app.K, collector.DefaultK))
	for _, point := range series.Points {
		bar := picture.Bar{Name: point.Day.Time().Format("2 Jan"), Text: few, Hidden: true}
		if n := point.Established.Days28; n != nil {
			bar.Value, bar.Text, bar.Hidden = float64(*n), insight.Grouped(*n), false
		}
		c.Bars, c.Value, c.Note = append(c.Bars, bar), bar.Text, windowText(point.Day)
	}
	return c, nil
}

// valuesChart has the values of a dimension in the latest window.
func (s *Server) valuesChart(ctx context.Context, app collector.App, dimension string) (picture.Chart, error) {
	title := map[string]string{
		collector.DimVersion: "Versions", collector.DimSystem: "Operating systems", collector.DimMachine: "CPU architectures",
		collector.DimCountry: "Countries", collector.DimRelease: "OS versions", collector.DimDeployment: "Deployments",
		collector.DimFirstVersion: "First versions", collector.DimClient: "Clients",
	}[dimension]
	c := newChart(app, cmp.Or(title, insight.Clean(strings.TrimPrefix(dimension, collector.FactDimension))))
	today, _, err := s.engine.Today(app.Num)
	if err != nil {
		return c, err
	}
	b, err := s.engine.Breakdown(ctx, app.Num, dimension, collector.PublicDays, today, figures.PublicView(app))
	if err != nil {
		return c, err
	}
	if len(b.Values) == 0 {
		c.Note = fmt.Sprintf("First figures on %s", b.Next.Time().Format("2 January 2006"))
		return c, nil
	}
	values := slices.Clone(b.Values)
	count := func(v figures.Value) uint64 {
		if v.Count == nil || v.Value == collector.Other { // which is last
			return 0
		}
		return *v.Count
	}
	slices.SortStableFunc(values, func(x, y figures.Value) int { return cmp.Compare(count(y), count(x)) })
	c.Value, c.Note = insight.Clean(values[0].Value), windowText(b.To)
	for _, v := range values[:min(len(values), picture.MaxBars)] {
		c.Bars = append(c.Bars, picture.Bar{Name: insight.Clean(v.Value), Value: v.Share, Text: fmt.Sprintf("%.0f%%", 100*v.Share)})
	}
	return c, nil
}

// A cardCache has the latest card of each of some apps. Its zero value is empty.
type cardCache struct {
	mu    sync.Mutex
	cards map[collector.AppNum]card
}

// A card is an image, and what it was drawn from.
type card struct {
	of  string
	png []byte
}

// maxCards bounds the cards that are kept, of some 20 kB each.
const maxCards = 64

// card draws the image that sites show beside a link to a public app. Drawing takes
// some milliseconds, so the latest cards are kept.
func (s *Server) card(w http.ResponseWriter, r *http.Request) {
	app, ok := s.publicApp(w, r)
	if !ok {
		return
	}
	q := &query{values: r.URL.Query()}
	if !q.restrict(w, nil) {
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	c, err := s.activeChart(ctx, app)
	if err != nil {
		s.refuseQuery(w, err)
		return
	}
	of := fmt.Sprint(c)
	s.cards.mu.Lock()
	kept := s.cards.cards[app.Num]
	s.cards.mu.Unlock()
	if kept.of != of {
		kept.of = of
		if kept.png, err = picture.PNG(c); err != nil {
			s.refuseUnavailable(w, err)
			return
		}
		s.cards.mu.Lock()
		if s.cards.cards == nil || len(s.cards.cards) >= maxCards {
			s.cards.cards = make(map[collector.AppNum]card)
		}
		s.cards.cards[app.Num] = kept
		s.cards.mu.Unlock()
	}
	writePicture(w, r, "image/png", kept.png)
}
