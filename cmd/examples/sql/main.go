// Command sql has its settings, and so its ID and the operator's consent, in a
// database. It uses every part of the library.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
	_ "modernc.org/sqlite"
)

var users rollcall.Counter

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	db, err := sql.Open("sqlite", "example.db")
	if err != nil {
		return err
	}
	defer db.Close()
	stored := settings{db}
	if err := stored.create(ctx); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	observer, err := metrics.New(registry)
	if err != nil {
		return err
	}
	handler := slog.NewTextHandler(os.Stderr, nil)
	service, err := rollcall.New(telemetry(stored, observer, slog.New(handler)))
	if err != nil {
		slog.Warn("No telemetry", "error", err)
	}
	slog.SetDefault(slog.New(rollcall.FaultHandler(service, handler, rollcall.FaultHandlerOptions{Source: "log", Component: "main"})))
	service.Start(ctx)
	defer service.Stop(context.WithoutCancel(ctx))

	server := http.Server{Addr: "localhost:8080", Handler: pages(service, registry)}
	context.AfterFunc(ctx, func() { server.Close() })
	server.ListenAndServe()
	return nil
}

func pages(service *rollcall.Service, registry *prometheus.Registry) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		users.Add(1)
		if u := service.Update(); u.Severity == report.ReleaseSecurity {
			fmt.Fprintf(w, "This version has a known weakness. Please install %s: %s\n", u.Version, u.URL)
		} else if u.Version != "" {
			fmt.Fprintf(w, "Version %s is out: %s\n", u.Version, u.URL)
		}
	})
	// The program's own switch, behind its login. It calls SetConsent, which
	// saves the setting and ends a denial that was made on the page.
	mux.HandleFunc("POST /settings/telemetry", func(w http.ResponseWriter, r *http.Request) {
		if err := service.SetConsent(rollcall.OrderedBy(r.Context(), "settings page"), r.FormValue("on") == "true"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.HandleFunc("POST /settings/updates", func(w http.ResponseWriter, r *http.Request) {
		if err := service.SetUpdateConsent(rollcall.OrderedBy(r.Context(), "settings page"), r.FormValue("on") == "true"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	mux.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry", Title: "Example"}))
	return mux
}

func telemetry(s settings, observer installid.Observer, log *slog.Logger) rollcall.Config {
	return rollcall.Config{
		App: "example", Version: "v1.0.0", Endpoint: "https://telemetry.example.org",
		ID:       rollcall.IDConfig{Load: s.loadID, Save: s.saveID},
		Consent:  rollcall.ConsentConfig{Load: s.loadConsents, Save: s.saveConsents, Where: "Settings > Telemetry"},
		Facts:    []rollcall.Fact{rollcall.Environment("production"), users.Fact("visits.week", "Shows how much it is used.", 1, 100, 10000)},
		Updates:  rollcall.UpdatesConfig{URLPrefix: "https://example.org/releases/"},
		Observer: observer,
		Logger:   log,
	}
}
