package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"html"
	"net/http"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/insight"
	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

// A feed is an Atom feed (RFC 4287).
type feed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated time.Time   `xml:"updated"`
	Author  string      `xml:"author>name"`
	Links   []feedLink  `xml:"link"`
	Entries []feedEntry `xml:"entry"`
}

type feedLink struct {
	Rel  string `xml:"rel,attr"`
	Type string `xml:"type,attr"`
	Href string `xml:"href,attr"`
}

type feedEntry struct {
	ID        string      `xml:"id"`
	Title     string      `xml:"title"`
	Published time.Time   `xml:"published"`
	Updated   time.Time   `xml:"updated"`
	Links     []feedLink  `xml:"link"`
	Content   feedContent `xml:"content"`
}

type feedContent struct {
	Type string `xml:"type,attr"`
	HTML string `xml:",chardata"`
}

// feedAge is how long a cache may keep a public feed.
const feedAge = time.Hour

// publicWindows is how many windows a public feed has.
const publicWindows = 12

// serveFeed serves the weekly reports of an app to a reader with a token, and the
// figures of the public windows of a public app to everyone else. Readers of feeds
// often can send no header, so a token of scope feed, which permits nothing else,
// may be the parameter token. Other tokens are refused there, because addresses
// are stored in many places.
func (s *Server) serveFeed(w http.ResponseWriter, r *http.Request) {
	q := &query{values: r.URL.Query()}
	if !q.restrict(w, []string{"token"}) {
		return
	}
	key := r.PathValue("app")
	app, found := s.engine.App(key)
	token := q.values.Get("token")
	grant, ok := s.opts.Access.Grant(r)
	if token != "" {
		if grant, ok = s.opts.Access.Check(token); ok && grant.Scope != access.Feed {
			refuse(w, http.StatusForbidden, reasonCredentials, "only a token of scope feed may be part of an address; revoke this one if others can have seen it")
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
	defer cancel()
	signedIn := ok && (grant.May(key, access.Read) || grant.May(key, access.Feed))
	var f feed
	var err error
	switch {
	case signedIn && !found:
		refuse(w, http.StatusNotFound, collector.RefusedUnknownApp, "there is no such app")
		return
	case signedIn:
		f, err = s.weeklyFeed(ctx, r, app)
	case found && app.Public && token == "":
		f, err = s.publicFeed(ctx, r, app)
	default:
		refuseUnauthorized(w, "a token that may read the app or its feed")
		return
	}
	if err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	var body bytes.Buffer
	body.WriteString(xml.Header)
	if err := xml.NewEncoder(&body).Encode(f); err != nil {
		s.refuseUnavailable(w, err)
		return
	}
	sum := sha256.Sum256(body.Bytes())
	tag := fmt.Sprintf("%x", sum[:8])
	if signedIn && respond.Unchanged(w, r, tag) || !signedIn && respond.UnchangedForAll(w, r, tag, feedAge) {
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/atom+xml; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	h.Set("Referrer-Policy", "no-referrer") // the address may have a token
	respond.Body(w, r, body.Bytes())
}

// site returns the address of the pages, as people open them.
func (s *Server) site(r *http.Request) string {
	if s.opts.BaseURL.Host != "" {
		return s.opts.BaseURL.String()
	}
	scheme := "http"
	if usesTLS(r, s.opts.TrustedProxies) {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// newFeed returns the feed of an app without entries. Its ID and theirs depend on
// nothing that can change but the key of the app and the day it was added.
func newFeed(app collector.App, site, kind string) feed {
	pages := site + "/a/" + app.Key + "/overview"
	name := app.Name
	if name == "" {
		name = app.Key
	}
	return feed{
		ID: feedID(app, kind, ""), Title: insight.Clean(name) + ": installations", Updated: app.Created.Time(), Author: "Rollcall",
		Links: []feedLink{
			{"alternate", "text/html", pages}, {"self", "application/atom+xml", site + "/api/v1/apps/" + app.Key + "/feed.atom"},
		},
	}
}

// feedID returns a UUID of version 8 (RFC 9562) that is always the same for an
// entry, or for the feed itself if entry is empty.
func feedID(app collector.App, kind, entry string) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{"rollcall feed", app.Key, app.Created.String(), kind, entry}, "\x00")))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80
	return fmt.Sprintf("urn:uuid:%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16])
}

func (s *Server) weeklyFeed(ctx context.Context, r *http.Request, app collector.App) (feed, error) {
	site := s.site(r)
	f := newFeed(app, site, "weeks")
	if s.opts.Weeks == nil {
		return f, nil
	}
	weeks, err := s.opts.Weeks(ctx, app.Num)
	if err != nil {
		return feed{}, err
	}
	for _, week := range weeks {
		texts, pages := week.Report().Sentences()
		var content strings.Builder
		content.WriteString("<ul>")
		for i, text := range texts {
			text = html.EscapeString(text)
			if pages[i] != "" {
				text = fmt.Sprintf(`<a href="%s">%s</a>`, html.EscapeString(site+"/a/"+app.Key+"/"+pages[i]), text)
			}
			content.WriteString("<li>" + text + "</li>")
		}
		content.WriteString("</ul>")
		f.add(feedEntry{
			ID: feedID(app, "weeks", week.To.String()), Title: "Week to " + week.To.Time().Format("2 January 2006") + ": " + texts[0],
			Published: week.Made, Updated: week.Made, Content: feedContent{"html", content.String()},
			Links: []feedLink{{"alternate", "text/html", fmt.Sprintf("%s/a/%s/overview?from=%s&to=%s", site, app.Key, week.To-insight.Days+1, week.To)}},
		})
	}
	return f, nil
}

// add adds an entry, which is older than those before.
func (f *feed) add(e feedEntry) {
	if len(f.Entries) == 0 {
		f.Updated = e.Updated
	}
	f.Entries = append(f.Entries, e)
}

// publicFeed has what the public page shows of the latest windows.
func (s *Server) publicFeed(ctx context.Context, r *http.Request, app collector.App) (feed, error) {
	site := s.site(r)
	f := newFeed(app, site, "windows")
	view := figures.PublicView(app)
	today, _, err := s.engine.Today(app.Num)
	if err != nil {
		return feed{}, err
	}
	span := collector.Range{From: today - publicWindows*collector.PublicDays, To: today}
	series, err := s.engine.Series(ctx, app.Num, span, view)
	if err != nil {
		return feed{}, err
	}
	for i := range series.Points {
		point := series.Points[len(series.Points)-1-i]
		if point.Established.Days28 == nil {
			continue
		}
		versions, err := s.engine.Breakdown(ctx, app.Num, collector.DimVersion, collector.PublicDays, point.Day, view)
		if err != nil {
			return feed{}, err
		}
		text := fmt.Sprintf("About %s installations were active in the %d days to %s", insight.Grouped(*point.Established.Days28),
			collector.PublicDays, point.Day.Time().Format("2 January 2006"))
		if version := mostUsed(versions); version != noneYet {
			text += "; most used version: " + insight.Clean(version)
		}
		out := (point.Day + 1).Time()
		f.add(feedEntry{
			ID: feedID(app, "windows", point.Day.String()), Title: text, Published: out, Updated: out,
			Content: feedContent{"text", text + "."},
			Links:   []feedLink{{"alternate", "text/html", fmt.Sprintf("%s/a/%s/overview?to=%s&days=%d", site, app.Key, point.Day, collector.PublicDays)}},
		})
	}
	return f, nil
}
