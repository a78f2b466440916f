package legacy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// /version names the current release of each channel in the worker's form, whoever
// asks and whatever the app accepts.
func TestVersion(t *testing.T) {
	r := newRig(t)
	const nothing = `{"stable":{"version":null,"url":null},"dev":{"version":null,"commit":null,"url":null},"branches":{}}`
	r.wants("no release", "GET", "/version", "", 200, nothing)
	releases := release.New(r.c)
	for _, set := range []struct {
		channel string
		release.Release
	}{
		{"stable", release.Release{Version: "2.15.0"}},
		{"stable", release.Release{Version: "2.15.1", URL: "https://example.com/2.15.1"}},
		{"dev", release.Release{Version: "2.16.0-dev", Commit: "0123abc", URL: "https://example.com/dev"}},
		{"main", release.Release{Version: "2.15.1", Commit: "4567def"}},
	} {
		if err := releases.Set(t.Context(), r.app.Num, set.channel, set.Release); err != nil {
			t.Fatal(err)
		}
	}
	const dev = `{"version":"2.16.0-dev","commit":"0123abc","url":"https://example.com/dev"}`
	const want = `{"stable":{"version":"2.15.1","url":"https://example.com/2.15.1"},"dev":` + dev +
		`,"branches":{"dev":` + dev + `,"main":{"version":"2.15.1","commit":"4567def","url":null}}}`
	r.wants("releases", "GET", "/version", "", 200, want)
	resp, _ := r.do("GET", "/version", "")
	if got := resp.Header.Get("Cache-Control"); got != "public, max-age=1800" {
		t.Errorf("Cache-Control: got %q", got)
	}
	app := r.app
	app.Gone = true
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.wants("of an app that is gone", "GET", "/version", "", 200, want)
	app.Legacy = false
	if err := r.c.UpdateApp(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	r.wants("without an app", "GET", "/version", "", 200, nothing)
}

// brokenSettings fail to be read.
type brokenSettings struct{ release.Engine }

func (brokenSettings) Setting(context.Context, collector.AppNum, string) ([]byte, bool, error) {
	return nil, false, errors.New("broken")
}

func TestVersionUnknown(t *testing.T) {
	r := newRig(t)
	h, err := legacy.New(legacy.Options{Collector: r.c, Releases: release.New(brokenSettings{r.c})})
	if err != nil {
		t.Fatal(err)
	}
	r.handler = h
	r.wants("broken store", "GET", "/version", "", http.StatusServiceUnavailable, `{"error":"Try again later"}`)
}
