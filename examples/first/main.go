// Command first reports: everything that a host needs, in one file.
package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

var exports rollcall.Counter // exports.Add(1) where the program exports

func telemetry(logger *slog.Logger) rollcall.Config {
	return rollcall.Config{
		App: "my-app", Version: "v1.4.0", Endpoint: "https://telemetry.example.org",
		ConfigPath: "config.json", // holds the ID, and telemetry.enabled, which is false at first
		Facts: []rollcall.Fact{
			rollcall.Environment("production"),
			exports.Fact("exports.week", "Shows whether exports are in use.", 1, 10, 100),
		},
		Logger: logger,
	}
}

func main() {
	ctx, log := context.Background(), slog.NewTextHandler(os.Stderr, nil)
	service, err := rollcall.New(telemetry(slog.New(log)))
	if err != nil {
		slog.Warn("No telemetry", "error", err) // a mistake in Config; a nil service is safe to use
	}
	service.AskConsent(ctx, rollcall.AskOptions{}) // if there is a terminal and nobody has decided
	service.Start(ctx)
	defer service.Stop(ctx)
	slog.SetDefault(slog.New(rollcall.FaultHandler(service, log, rollcall.FaultHandlerOptions{Source: "log", Component: "main"})))
	http.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry"})) // shows what is sent
	http.ListenAndServe("localhost:8080", nil)
}
