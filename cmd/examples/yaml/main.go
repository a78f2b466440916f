// Command yaml has its settings, and so its ID and the operator's consent, in a
// YAML file. It uses every part of the library.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/rollcall-dev/rollcall/report"
)

var exports rollcall.Counter

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	handler := slog.NewTextHandler(os.Stderr, nil)
	file := &settings{path: "settings.yaml"}
	service, err := rollcall.New(telemetry(file, slog.New(handler)))
	if err != nil {
		slog.Warn("No telemetry", "error", err)
	}
	// The rest of the program logs through this one, which counts faults.
	slog.SetDefault(slog.New(counting(service, handler)))
	service.AskConsent(ctx, rollcall.AskOptions{})
	service.AskUpdateConsent(ctx, rollcall.AskOptions{})
	service.Start(ctx)
	defer service.Stop(context.WithoutCancel(ctx))

	// The operator edits the file and signals that it changed.
	go func() {
		changed := make(chan os.Signal, 1)
		signal.Notify(changed, syscall.SIGHUP)
		for range changed {
			service.ConsentChanged(ctx)
		}
	}()
	server := http.Server{Addr: "localhost:8080", Handler: pages(service, slog.Default())}
	context.AfterFunc(ctx, func() { server.Close() })
	server.ListenAndServe()
}

func pages(service *rollcall.Service, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /export", func(w http.ResponseWriter, _ *http.Request) {
		exports.Add(1)
		log.Error("Export failed", "component", "exporter", "op", "write")
		http.Error(w, "Export failed.", http.StatusInternalServerError)
	})
	// Where only the operator can sign in, set Rights: page.BehindLogin.
	mux.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry", Title: "Example"}))
	return mux
}

// counting returns a handler that passes records on and counts faults.
func counting(service *rollcall.Service, next slog.Handler) slog.Handler {
	return rollcall.FaultHandler(service, next, rollcall.FaultHandlerOptions{
		Source: "log", Component: "main", ComponentKey: "component", ContextKeys: []string{"op"},
		Reasons: map[string]string{"Export failed": "export-failed"},
	})
}

func telemetry(s *settings, log *slog.Logger) rollcall.Config {
	return rollcall.Config{
		App: "example", Version: "v1.0.0", Endpoint: "https://telemetry.example.org",
		ID:      rollcall.IDConfig{Load: s.loadID, Save: s.saveID},
		Consent: rollcall.ConsentConfig{Load: s.loadConsents, Save: s.saveConsents, Where: "telemetry.enabled in " + s.path},
		Facts: []rollcall.Fact{
			rollcall.Environment("production"),
			exports.Fact("exports.week", "Shows whether exports are in use.", 1, 10, 100),
			{
				Declaration: report.BoolFact("tls", "Shows whether certificates are worth the work."),
				Value:       func(context.Context) (any, error) { return false, nil },
			},
		},
		Reporting: rollcall.ReportingConfig{
			FaultContext: []string{"op"},
			Ended:        func(o rollcall.ReportOutcome) { log.Debug("Report", "kind", o.Kind, "result", o.Result) },
		},
		Updates: rollcall.UpdatesConfig{
			URLPrefix: "https://example.org/releases/",
			Changed:   func(u rollcall.Update) { log.Info("A newer release is out", "version", u.Version, "url", u.URL) },
		},
		Logger: log,
	}
}
