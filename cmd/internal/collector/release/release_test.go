package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/storetest"
)

func open(t *testing.T) (*release.Store, *engine.Engine, collector.AppNum) {
	t.Helper()
	e, err := engine.Open(t.Context(), storetest.NewMemory(), engine.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	app, err := e.AddApp(t.Context(), collector.App{Key: "myapp"})
	if err != nil {
		t.Fatal(err)
	}
	return release.New(e), e, app.Num
}

// list returns the versions of a channel, the current one last.
func list(t *testing.T, s *release.Store, app collector.AppNum, channel string) (versions []string) {
	t.Helper()
	channels, err := s.Channels(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range channels[channel] {
		versions = append(versions, r.Version)
	}
	return versions
}

func TestSet(t *testing.T) {
	s, e, app := open(t)
	set := func(channel string, r release.Release) {
		t.Helper()
		if err := s.Set(t.Context(), app, channel, r); err != nil {
			t.Fatal(err)
		}
	}
	day, err := collector.ParseDay("2026-05-06")
	if err != nil {
		t.Fatal(err)
	}
	before := collector.DayOf(time.Now())
	set("stable", release.Release{Version: "1.0.0", Date: day})
	set("stable", release.Release{Version: "1.1.0"})
	set("stable", release.Release{Version: "1.0.0", Severity: release.Security}) // details of an older one
	if got := list(t, s, app, "stable"); !slices.Equal(got, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("after a change of details: got %q", got)
	}
	channels, err := s.Channels(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	if r := channels["stable"][0]; r.Severity != release.Security || r.Date != day {
		t.Errorf("the changed release: got %+v", r)
	}
	if r, ok := channels.Current("stable"); !ok || r.Version != "1.1.0" || r.Date < before || r.Date > collector.DayOf(time.Now()) {
		t.Errorf("the current release: got %+v, %t", r, ok)
	}
	// The same version built from another commit is the current one.
	set("dev", release.Release{Version: "1.2-dev", Commit: "0000001"})
	set("dev", release.Release{Version: "1.3-dev", Commit: "0000002"})
	set("dev", release.Release{Version: "1.2-dev", Commit: "0000003"})
	if got := list(t, s, app, "dev"); !slices.Equal(got, []string{"1.3-dev", "1.2-dev"}) {
		t.Errorf("after a new build: got %q", got)
	}
	// The figures know the stable releases, and those only.
	declared, err := e.Declared(app)
	if err != nil {
		t.Fatal(err)
	}
	var versions []string
	for _, r := range declared.Releases {
		versions = append(versions, fmt.Sprintf("%s %t", r.Version, r.Released == day))
	}
	if want := []string{"1.1.0 false", "1.0.0 true"}; !slices.Equal(versions, want) {
		t.Errorf("declared: got %q, want %q", versions, want)
	}
	if got := channels.Names(); !slices.Equal(got, []string{"stable"}) {
		t.Errorf("channels: got %q", got)
	}
}

func TestRemove(t *testing.T) {
	s, _, app := open(t)
	for _, version := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		if err := s.Set(t.Context(), app, "stable", release.Release{Version: version}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Remove(t.Context(), app, "stable", "1.2.0"); err != nil {
		t.Fatal(err)
	}
	if got := list(t, s, app, "stable"); !slices.Equal(got, []string{"1.0.0", "1.1.0"}) {
		t.Errorf("got %q", got)
	}
	for _, version := range []string{"1.2.0", "3"} {
		if err := s.Remove(t.Context(), app, "stable", version); !errors.Is(err, release.ErrNone) {
			t.Errorf("%s again: got %v", version, err)
		}
	}
	if err := s.Remove(t.Context(), app, "stable", ""); err != nil {
		t.Fatal(err)
	}
	channels, err := s.Channels(t.Context(), app)
	if err != nil || len(channels) != 0 {
		t.Errorf("without channels: got %v, %v", channels, err)
	}
	if err := s.Remove(t.Context(), app, "stable", ""); !errors.Is(err, release.ErrNone) {
		t.Errorf("no channel: got %v", err)
	}
}

// Everything has a bound, and all that the bounds allow can be stored.
func TestBounds(t *testing.T) {
	s, _, app := open(t)
	for i := range release.MaxChannels {
		for j := range release.MaxReleases + 1 {
			if i > 1 && i < release.MaxChannels-1 && j > 0 {
				break // one release is enough
			}
			r := release.Release{
				Version: fmt.Sprintf("%s.%d", strings.Repeat("1", 60), j), Commit: strings.Repeat("a", 64),
				URL: "https://example.com/" + strings.Repeat("u", release.MaxURLLen-20), Severity: release.Recommended,
			}
			if err := s.Set(t.Context(), app, fmt.Sprintf("%s%d", strings.Repeat("c", 60), i), r); err != nil {
				t.Fatal(i, j, err)
			}
		}
	}
	if got := list(t, s, app, strings.Repeat("c", 60)+"0"); len(got) != release.MaxReleases || !strings.HasSuffix(got[0], ".1") {
		t.Errorf("a full channel: got %d releases from %q", len(got), got[0])
	}
	if err := s.Set(t.Context(), app, "more", release.Release{Version: "1"}); !errors.Is(err, release.ErrTooMany) {
		t.Errorf("one channel more: got %v", err)
	}
	const largest = 64 + 64 + release.MaxURLLen + len(`{"version":"","commit":"","url":"","date":"2026-05-06","severity":"recommended"},`)
	if release.MaxChannels*(release.MaxReleases*largest+70) > collector.MaxSettingBytes {
		t.Error("full channels do not fit into a setting")
	}
	for what, tt := range map[string]struct {
		channel string
		release.Release
	}{
		"no channel":        {"", release.Release{Version: "1"}},
		"channel":           {"a b", release.Release{Version: "1"}},
		"long channel":      {strings.Repeat("c", 65), release.Release{Version: "1"}},
		"no version":        {"stable", release.Release{}},
		"not normalized":    {"stable", release.Release{Version: "v1.0"}},
		"long version":      {"stable", release.Release{Version: strings.Repeat("1", 65)}},
		"commit":            {"stable", release.Release{Version: "1", Commit: "main"}},
		"http":              {"stable", release.Release{Version: "1", URL: "http://example.com/"}},
		"script":            {"stable", release.Release{Version: "1", URL: "javascript:alert(1)"}},
		"URL without host":  {"stable", release.Release{Version: "1", URL: "https:///x"}},
		"URL with password": {"stable", release.Release{Version: "1", URL: "https://a:b@example.com/"}},
		"long URL":          {"stable", release.Release{Version: "1", URL: "https://example.com/" + strings.Repeat("u", release.MaxURLLen)}},
		"severity":          {"stable", release.Release{Version: "1", Severity: "high"}},
	} {
		if err := s.Set(t.Context(), app, tt.channel, tt.Release); !errors.Is(err, release.ErrInvalid) {
			t.Errorf("%s: got %v", what, err)
		}
	}
}
