package control

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
)

// ImportHistory calls [history.Load]. Sum is what [history.Check] found.
func (c *Client) ImportHistory(ctx context.Context, app, sum string, in io.Reader) (history.Loaded, error) {
	path := "/apps/" + url.PathEscape(app) + "/history?sum=" + url.QueryEscape(sum)
	return call[history.Loaded](ctx, c, http.MethodPost, path, io.NopCloser(in))
}

func (s *Server) importHistory(r *http.Request) (history.Loaded, error) {
	app, err := s.app(r)
	if err != nil {
		return history.Loaded{}, err
	}
	done, err := history.Load(r.Context(), s.dir.Collector, app, r.URL.Query().Get("sum"), r.Body)
	if err == nil {
		s.audit(audit.Imported, app.Key, "history")
	}
	return done, err
}
