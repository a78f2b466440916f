// Command toml has its settings in a TOML file that only the operator changes.
// The consent is there; the ID is in a state directory. A denial on the page is
// recorded beside the ID, and whoever wants to grant is told where.
package main

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

var settingsFile = settings{"settings.toml"}

func main() {
	service, err := rollcall.New(telemetry(settingsFile))
	if err != nil {
		slog.Warn("No telemetry", "error", err)
	}
	ctx := context.Background()
	service.Start(ctx)
	defer service.Stop(ctx)
	http.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry"}))
	slog.Error("Stopped", "error", http.ListenAndServe("localhost:8080", nil))
}

func telemetry(s settings) rollcall.Config {
	return rollcall.Config{
		App: "example", Version: "v1.0.0", Endpoint: "https://telemetry.example.org",
		Facts:   []rollcall.Fact{rollcall.Environment("production")},
		Consent: rollcall.ConsentConfig{Load: s.consents, Where: "telemetry.enabled in " + s.path},
		Logger:  slog.Default(),
	}
}
