package daemon

import (
	"fmt"
	"net/http"
	"net/netip"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/warehouse"
)

// newHandler connects the API, the pages, the legacy format, and the alerts.
// Country returns the country of an address; it may be nil.
func (d *Daemon) newHandler(data *openData, country func(netip.Addr) string) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	count, err := counter.New(counter.Options{Collector: data.dir.Collector, Limits: d.opts.Limits, Audit: data.dir.Audit})
	if err != nil {
		return nil, err
	}
	s, err := d.newServer(data, count, server.Options{Country: country, CountryHeader: d.opts.CountryHeader, Metrics: registry})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}

// newServer connects them, with some options of the server. Both formats share
// one counter.
func (d *Daemon) newServer(data *openData, count *counter.Counter, opts server.Options) (*server.Server, error) {
	dir := data.dir
	baseURL, err := server.ParseBaseURL(d.opts.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL %q: %w", d.opts.BaseURL, err)
	}
	alerts := alert.New(dir.Collector, alert.Options{Allow: d.opts.WebhookAllow, BaseURL: baseURL.String(), Logger: d.log})
	data.background = append(data.background, alerts.Run)
	if d.opts.Warehouse != "" {
		target, err := warehouse.OpenTarget(d.opts.Warehouse, os.Getenv)
		if err != nil {
			return nil, fmt.Errorf("warehouse: %w", err)
		}
		data.background = append(data.background, warehouse.New(dir.Collector, target, d.log).Run)
	}
	pages, err := dashboard.New(dashboard.Options{
		Alerts: alerts, Audit: dir.Audit, Collector: dir.Collector, Access: dir.Tokens, Releases: dir.Releases, Notes: dir.Notes,
		BaseURL: baseURL.String(), Title: d.opts.Title, Version: d.opts.Version, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	wire, err := legacy.New(legacy.Options{
		Counter: count, Collector: dir.Collector, Releases: dir.Releases, Country: server.ClientCountry, Logger: d.log,
		MayRead: func(r *http.Request, app string) bool {
			grant, ok := dir.Tokens.Grant(r)
			return ok && grant.May(app, access.Read)
		},
	})
	if err != nil {
		return nil, err
	}
	opts.Counter, opts.Audit, opts.Collector, opts.Access, opts.Releases, opts.Notes = count, dir.Audit, dir.Collector, dir.Tokens, dir.Releases, dir.Notes
	opts.Weeks, opts.Dashboard, opts.Legacy, opts.BaseURL, opts.TrustedProxies = alerts.Weeks, pages, wire, baseURL, d.opts.TrustedProxies
	opts.OpenMetrics, opts.Version, opts.Logger = d.opts.OpenMetrics, d.opts.Version, d.log
	return server.New(opts)
}
