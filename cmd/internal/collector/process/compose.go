package process

import (
	"context"
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

// Limits bound what one sender may do; see [server.Limits].
type Limits = server.Limits

// parts are what a process is composed of.
type parts struct {
	handler http.Handler
	// background is work that goes on beside the server until its context ends.
	background []func(context.Context)
}

// compose puts the parts together.
func compose(o *Options, d *data, country func(netip.Addr) string) (parts, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	alerts := alert.New(d.collector, o.Logger)
	pages, err := dashboard.New(dashboard.Options{
		Alerts:    alerts,
		Collector: d.collector,
		Access:    d.access,
		Title:     o.Title,
		Version:   o.Version,
		Logger:    o.Logger,
	})
	if err != nil {
		return parts{}, err
	}
	wire, err := legacy.New(legacy.Options{
		Collector: d.collector,
		Country:   countryOf(country),
		MayRead: func(r *http.Request, app string) bool {
			grant, ok := d.access.Grant(r)
			return ok && grant.May(app, access.Read)
		},
		Logger: o.Logger,
	})
	if err != nil {
		return parts{}, err
	}
	s, err := server.New(server.Options{
		Collector:      d.collector,
		Access:         d.access,
		Dashboard:      pages,
		Legacy:         wire,
		LegacyID:       legacy.InstallationID,
		TrustedProxies: o.TrustedProxies,
		Country:        country,
		Limits:         o.Limits,
		Metrics:        registry,
		OpenMetrics:    o.OpenMetrics,
		Version:        o.Version,
		Logger:         o.Logger,
	})
	if err != nil {
		return parts{}, err
	}
	return parts{handler: s.Handler(), background: []func(context.Context){alerts.Run}}, nil
}

// countryOf gives the country of a request's sender, which is the request's RemoteAddr behind the server's proxies.
func countryOf(country func(netip.Addr) string) func(*http.Request) string {
	if country == nil {
		return nil
	}
	return func(r *http.Request) string {
		addr, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return ""
		}
		return country(addr.Addr())
	}
}
