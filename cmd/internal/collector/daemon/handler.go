package daemon

import (
	"net/http"
	"net/netip"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/alert"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/dashboard"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

// newHandler connects the API, the pages, the legacy format, and the alerts.
// Country returns the country of an address; it may be nil.
func (d *Daemon) newHandler(country func(netip.Addr) string) (http.Handler, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	alerts := alert.New(d.Collector(), d.log)
	d.background = append(d.background, alerts.Run)
	pages, err := dashboard.New(dashboard.Options{
		Alerts: alerts, Collector: d.Collector(), Access: d.Tokens(),
		Title: d.opts.Title, Version: d.opts.Version, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	wire, err := legacy.New(legacy.Options{
		Collector: d.Collector(), Country: country, Logger: d.log,
		MayRead: func(r *http.Request, app string) bool {
			grant, ok := d.Tokens().Grant(r)
			return ok && grant.May(app, access.Read)
		},
	})
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Options{
		Collector: d.Collector(), Access: d.Tokens(), Dashboard: pages, Legacy: wire,
		TrustedProxies: d.opts.TrustedProxies, Country: country, Limits: d.opts.Limits,
		Metrics: registry, OpenMetrics: d.opts.OpenMetrics, Version: d.opts.Version, Logger: d.log,
	})
	if err != nil {
		return nil, err
	}
	return s.Handler(), nil
}
