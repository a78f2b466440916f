// Command environment is configured by environment variables alone, as in a
// container. Its ID is in a state directory, which must be a volume; only whoever
// sets EXAMPLE_TELEMETRY can grant, and the page and the errors say so.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strconv"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

const variable = "EXAMPLE_TELEMETRY"

func main() {
	service, err := rollcall.New(telemetry(os.Getenv))
	if err != nil {
		slog.Warn("No telemetry", "error", err)
	}
	ctx := context.Background()
	service.Start(ctx)
	defer service.Stop(ctx)
	http.Handle("/telemetry/", page.Handler(service, page.Options{BasePath: "/telemetry"}))
	slog.Error("Stopped", "error", http.ListenAndServe("localhost:8080", nil))
}

func telemetry(getenv func(string) string) rollcall.Config {
	return rollcall.Config{
		App: "example", Version: "v1.0.0", Endpoint: "https://telemetry.example.org",
		StateDir: getenv("EXAMPLE_STATE"), // empty means the usual place
		Facts:    []rollcall.Fact{rollcall.Environment(getenv("EXAMPLE_ENVIRONMENT"))},
		Consent: rollcall.ConsentConfig{
			Load:  func(context.Context) (rollcall.Consents, error) { return consents(getenv) },
			Where: "the environment variable " + variable,
		},
		Logger: slog.Default(),
	}
}

// consents returns what the variable says. It decides about both kinds of
// reports; a value that nobody understands is an error, and so a denial.
func consents(getenv func(string) string) (rollcall.Consents, error) {
	text := getenv(variable)
	if text == "" {
		return rollcall.Consents{}, nil
	}
	granted, err := strconv.ParseBool(text)
	if err != nil {
		return rollcall.Consents{}, fmt.Errorf("%s: %w", variable, err)
	}
	if !granted {
		return rollcall.Consents{Telemetry: rollcall.Denied, Health: rollcall.Denied}, nil
	}
	return rollcall.Consents{Telemetry: rollcall.Granted, Health: rollcall.Granted}, nil
}
