package dashboard

import (
	"fmt"
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/picture"
)

// A card is what other sites show beside a link to a public app.
type card struct {
	Title, Description string
	URL, Image, Feed   string // absolute
	Width, Height      int
}

// site returns the address of the pages, as people open them.
func (d *dashboard) site(r *http.Request) string {
	if d.opts.BaseURL != "" {
		return d.opts.BaseURL
	}
	scheme := "http"
	if r.TLS != nil || r.URL.Scheme == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// cardOf returns the card of an app's pages, or nil if it is not public.
func (d *dashboard) cardOf(r *http.Request, v viewer, name string) *card {
	if !v.app.Public {
		return nil
	}
	site := d.site(r)
	api := site + "/api/v1/apps/" + v.app.Key
	return &card{
		Title:       visible(name) + ": active installations",
		Description: fmt.Sprintf("Opted-in installations of %s, by version and platform.", visible(name)),
		URL:         site + "/a/" + v.app.Key + "/overview", Image: api + "/card.png", Feed: api + "/feed.atom",
		Width: picture.CardWidth, Height: picture.CardHeight,
	}
}

// An embedLine is a line that shows a figure in a README.
type embedLine struct{ Name, ID, Line string }

// embeds returns the lines for the README of a public app.
func (d *dashboard) embeds(r *http.Request, v viewer) []embedLine {
	if !v.app.Public {
		return nil
	}
	site := d.site(r)
	page, api := site+"/a/"+v.app.Key+"/overview", site+"/api/v1/apps/"+v.app.Key
	image := func(alt, path string) string { return fmt.Sprintf("[![%s](%s%s)](%s)", alt, api, path, page) }
	return []embedLine{
		{"Chart", "embed-chart", image("Active installations", "/chart/active.svg")},
		{"Chart of versions", "embed-versions", image("Versions", "/chart/version.svg")},
		{"Badge of active installations", "embed-active", image("Active installations", "/badge/active.svg")},
		{"Badge of the most used version", "embed-version", image("Most used version", "/badge/version.svg")},
		{"Chart with the colours of a site that has a switch", "embed-switch", fmt.Sprintf(
			`<a href="%s"><picture><source media="(prefers-color-scheme: dark)" srcset="%s/chart/active.svg?theme=dark">`+
				`<img src="%[2]s/chart/active.svg?theme=light" alt="Active installations"></picture></a>`, page, api)},
	}
}
