package server

import (
	"bytes"
	"cmp"
	"context"
	"html/template"
	"net/http"
	"strconv"
	"unicode/utf8"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// badgeTemplate draws two boxes with text, which html/template escapes.
var badgeTemplate = template.Must(template.New("badge").Parse(
	`<svg xmlns="http://www.w3.org/2000/svg" width="{{.Width}}" height="20" role="img" aria-label="{{.Label}}: {{.Value}}">` +
		`<title>{{.Label}}: {{.Value}}</title>` +
		`<rect width="{{.Width}}" height="20" rx="3" fill="#3d4450"/><path d="M{{.Left}} 0h{{.Inner}}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3H{{.Left}}z" fill="#0b6e99"/>` +
		`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">` +
		`<text x="{{.LabelAt}}" y="14">{{.Label}}</text><text x="{{.ValueAt}}" y="14">{{.Value}}</text></g></svg>` + "\n"))

// badge draws one public figure of a public app, for a README.
func (s *Server) badge(w http.ResponseWriter, r *http.Request) {
	app, ok := s.publicApp(w, r)
	if !ok {
		return
	}
	view := figures.PublicView(app)
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	today, _, err := s.engine.Today(app.Num)
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	var label, value string
	switch r.PathValue("badge") {
	case "active.svg":
		var series figures.Series
		series, err = s.engine.Series(ctx, app.Num, collector.Range{From: today, To: today}, view)
		label, value = "active installations", noneYet
		if err == nil && len(series.Points) == 1 {
			value = "under " + strconv.Itoa(cmp.Or(app.K, collector.DefaultK)) // if it is hidden
			if count := series.Points[0].Established.Days28; count != nil {
				value = strconv.FormatUint(*count, 10)
			}
		}
	case "version.svg":
		var versions figures.Breakdown
		versions, err = s.engine.Breakdown(ctx, app.Num, collector.DimVersion, 28, today, view)
		label, value = "most used version", mostUsed(versions)
	default:
		refuse(w, http.StatusNotFound, reasonNotFound, "the badges are active.svg and version.svg")
		return
	}
	if err != nil {
		s.refuseQuery(w, err)
		return
	}
	width := func(text string) int { return 12 + 7*utf8.RuneCountInString(text) }
	left, right := width(label), width(value)
	var body bytes.Buffer
	if err := badgeTemplate.Execute(&body, map[string]any{
		"Label": label, "Value": value, "Width": left + right, "Left": left, "Inner": right - 3,
		"LabelAt": left / 2, "ValueAt": left + right/2,
	}); err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	writePicture(w, r, "image/svg+xml", body.Bytes())
}

// noneYet is the text in place of a figure.
const noneYet = "none yet"

func mostUsed(b figures.Breakdown) string {
	most, value := uint64(0), noneYet
	for _, v := range b.Values {
		if v.Count != nil && *v.Count > most && v.Value != collector.Other {
			most, value = *v.Count, v.Value
		}
	}
	return value
}
