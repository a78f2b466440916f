package dashboard

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"math"
	"net/url"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

func fig(n uint64) figures.Count { return &n }

const evil = "=HYPERLINK(\"x\")<script>\x00\x1b'; DROP TABLE record; --"

// states returns a complete day, a gap, a day that is hidden from the public, and
// a day in progress.
func states(n uint64) []figures.SeriesPoint {
	full := figures.Active{Day: fig(n), Week: fig(n), Days28: fig(n), Days30: fig(n)}
	point := figures.SeriesPoint{
		Day: 20000, Active: full, Established: full, New: fig(n), Returning: fig(n), Lost: fig(n), Forgotten: fig(n), InMemory: fig(n), Excluded: fig(n),
	}
	closed, open := point, point
	open.Day, open.Open = 20003, true
	return []figures.SeriesPoint{closed, {Day: 20001, Gap: true}, {Day: 20002}, open}
}

// draw executes the page's template.
func draw(t *testing.T, p *pageData) string {
	t.Helper()
	var d dashboard
	if err := d.readFiles(); err != nil {
		t.Fatal(err)
	}
	var body bytes.Buffer
	if err := d.templates.ExecuteTemplate(&body, "page.html", p); err != nil {
		t.Fatal(err)
	}
	return body.String()
}

func TestStates(t *testing.T) {
	for _, n := range []uint64{0, 1, 1234567, math.MaxInt64 / 8} {
		points, span := states(n), collector.Range{From: 20000, To: 20003}
		meta := figures.Meta{Suppressed: 3}
		v := view{span: span}
		compared := view{span: span, ghost: &ghost{name: "day before", shift: 1}}
		p := &pageData{K: 10, Panels: []panel{
			notCountedPanel(v, points, nil, meta), growthPanel(v, points, nil, meta), growthPanel(v, nil, nil, meta),
			notCountedPanel(compared, points, points, meta), growthPanel(compared, points, points, meta), growthPanel(compared, nil, nil, meta),
		}}
		for _, row := range []tileRow{{now: points, then: points, span: span, past: span, age: fig(n)}, {span: span, past: span}} {
			tiles := row.tiles(v)
			p.Tiles = append(p.Tiles, tiles...)
			for _, one := range tiles {
				if one.id != "" {
					p.Panels = append(p.Panels, figurePanel(v, points, nil, meta, one), figurePanel(v, nil, nil, meta, one),
						figurePanel(compared, points, points, meta, one), figurePanel(compared, nil, points, meta, one))
				}
			}
		}
		p.Tiles = append(p.Tiles, tileRow{now: points, k: 10, span: span, past: span}.tiles(v)...)
		for i := range p.Panels {
			p.Panels[i].k = p.K
		}
		body := draw(t, p)
		for _, want := range []string{"&lt;&nbsp;10", string(missing), "in progress", "gap", "url(#gap)", "≥&nbsp;"} {
			if !strings.Contains(body, want) {
				t.Errorf("%d: the page lacks %q", n, want)
			}
		}
		for _, bad := range []string{"NaN", "Inf", "%!", "ZgotmplZ"} {
			if strings.Contains(body, bad) {
				t.Errorf("%d: the page has %q", n, bad)
			}
		}
		if n == 1234567 && !strings.Contains(body, `<data value="1234567">1,234,567</data>`) {
			t.Error("digits are not grouped")
		}
	}
}

// Hostile texts in every place of every panel.
func TestStatesHostile(t *testing.T) {
	values := []figures.Value{{Value: evil, Count: fig(3), Share: .5}, {Value: evil + "2", Count: nil}}
	trend := figures.Trend{Dimension: collector.DimVersion, Window: 28, Values: []string{evil, "1.0", "1.0-rc.1"}, Points: []figures.TrendPoint{
		{Day: 20000, Active: fig(6), Counts: []figures.Count{fig(1), fig(2), fig(3)}}, {Day: 20001, Gap: true, Counts: make([]figures.Count, 3)},
	}}
	half := 3
	versions := figures.Versions{Releases: []figures.Release{
		{Version: evil, Active: fig(1), Adoption: []figures.AdoptionPoint{{Days: 0, Active: fig(1), Of: fig(2), Share: .5}, {Days: 2}}, HalfAfter: &half},
		{Version: "0.9", Adoption: []figures.AdoptionPoint{{Days: -1}, {Days: 100000}}}, {Version: "0.8-rc.1", Pre: true},
	}, Moves: []figures.Move{{From: evil, To: evil, Count: fig(2)}}}
	faults := []figures.Fault{{
		ID: "i1", Source: evil, Component: evil, Reason: evil, Stage: evil, Severity: evil, Affected: fig(4), Occurrences: nil, NewIn: evil, Note: evil, FixedIn: evil,
		Versions: []figures.FaultVersion{{Version: evil, Affected: fig(1), Active: fig(2), PerThousand: 500}},
	}}
	v := view{values: url.Values{"status": {"all"}, "x": {"y"}}}
	p := &pageData{Notice: visible(evil), Panels: []panel{
		breakdownPanel("b", "", figures.Breakdown{Dimension: "fact." + evil, Values: values, Meta: figures.Meta{Suppressed: 1}}, 8),
		trendPanel("t", "", trend), adoptionPanel(versions, 0), floorPanel("", figures.Floor{Steps: []figures.FloorStep{{Version: evil, Kept: fig(1), Share: .95}, {Version: "hidden"}}}),
		releasesPanel(versions, 0), movesPanel("", versions), newestPanel(versions, figures.Faults{Faults: faults}),
		faultsPanel(faults, figures.Faults{}), ratesPanel(v, faults, figures.Meta{}), occurrencesPanel("severity", faults, figures.Meta{}, faultName),
		cohortsPanel(figures.Retention{Grain: collector.GrainWeek, Cohorts: []figures.Cohort{{From: 20000, Size: fig(2), Cells: []figures.Cell{{Active: fig(2), Share: 1}, {Gap: true}, {Open: true}}}}}),
		survivalPanel(figures.Survival{Versions: []figures.VersionSurvival{{Version: evil, Size: fig(1), Cells: []figures.SurvivalCell{{Active: fig(1), Of: fig(1), Share: 1}, {}}}}}),
		refusedPanel(map[string]uint64{evil: 3}, figures.Meta{}),
	}}
	p.Rest = v.rest()
	if _, err := v.filter(p, faults); err != nil {
		t.Error(err)
	}
	body := draw(t, p)
	for _, bad := range []string{"<script>\ufffd", "\x00", "\x1b", "NaN", "%!", "ZgotmplZ"} {
		if strings.Contains(body, bad) {
			i := strings.Index(body, bad)
			t.Errorf("the page has %q: %q", bad, body[max(0, i-200):i+50])
		}
	}
	for _, one := range p.Panels {
		rows, err := csv.NewReader(bytes.NewReader(one.Table.CSV())).ReadAll()
		if err != nil || len(rows) != len(one.Table.Rows)+1 {
			t.Errorf("%s: %d rows, %v", one.ID, len(rows), err)
		}
		for _, row := range rows {
			for _, cell := range row {
				if strings.HasPrefix(cell, "=") {
					t.Errorf("%s has the formula %q", one.ID, cell)
				}
			}
		}
		if data := one.json(v); !json.Valid(data) || bytes.ContainsAny(data, "<>\x00\x1b") {
			t.Errorf("%s: %s", one.ID, data)
		}
	}
}

// Every panel explains that it has no figures.
func TestStatesEmpty(t *testing.T) {
	v := view{values: url.Values{}}
	p := &pageData{Panels: []panel{
		breakdownPanel("b", "", figures.Breakdown{}, 8), trendPanel("t", "", figures.Trend{}), adoptionPanel(figures.Versions{}, 0),
		floorPanel("", figures.Floor{}), releasesPanel(figures.Versions{}, 0), movesPanel("", figures.Versions{}),
		newestPanel(figures.Versions{}, figures.Faults{}), faultsPanel(nil, figures.Faults{}), ratesPanel(v, nil, figures.Meta{}),
		occurrencesPanel("severity", nil, figures.Meta{}, faultName), cohortsPanel(figures.Retention{}), survivalPanel(figures.Survival{}),
		reportsPanel(v, figures.Quality{}, nil), droppedPanel(v, figures.Quality{}, nil), refusedPanel(nil, figures.Meta{}),
	}}
	for _, one := range p.Panels {
		if one.Empty == "" {
			t.Errorf("%s has no text for no figures", one.ID)
		}
	}
	draw(t, p)
}
