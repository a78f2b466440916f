package control

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
)

// Releases calls [release.Store.Channels].
func (c *Client) Releases(ctx context.Context, app string) (release.Channels, error) {
	return call[release.Channels](ctx, c, http.MethodGet, releasesPath(app), nil)
}

// SetRelease calls [release.Store.Set].
func (c *Client) SetRelease(ctx context.Context, app, channel string, r release.Release) error {
	_, err := call[none](ctx, c, http.MethodPut, releasesPath(app)+"?"+url.Values{"channel": {channel}}.Encode(), r)
	return err
}

// RemoveRelease calls [release.Store.Remove].
func (c *Client) RemoveRelease(ctx context.Context, app, channel, version string) error {
	query := url.Values{"channel": {channel}, "version": {version}}
	_, err := call[none](ctx, c, http.MethodDelete, releasesPath(app)+"?"+query.Encode(), nil)
	return err
}

func releasesPath(app string) string { return "/apps/" + url.PathEscape(app) + "/releases" }

func (s *Server) releases(r *http.Request) (release.Channels, error) {
	app, err := s.app(r)
	if err != nil {
		return nil, err
	}
	return s.dir.Releases.Channels(r.Context(), app.Num)
}

func (s *Server) setRelease(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	published, err := body[release.Release](r)
	if err != nil {
		return none{}, err
	}
	channel := r.URL.Query().Get("channel")
	if err := s.dir.Releases.Set(r.Context(), app.Num, channel, published); err != nil {
		return none{}, err
	}
	s.audit(audit.ReleaseSet, app.Key, channel+" "+published.Version)
	return none{}, nil
}

func (s *Server) removeRelease(r *http.Request) (none, error) {
	app, err := s.app(r)
	if err != nil {
		return none{}, err
	}
	channel, version := r.URL.Query().Get("channel"), r.URL.Query().Get("version")
	if err := s.dir.Releases.Remove(r.Context(), app.Num, channel, version); err != nil {
		return none{}, err
	}
	s.audit(audit.ReleaseRemoved, app.Key, strings.TrimSpace(channel+" "+version))
	return none{}, nil
}
