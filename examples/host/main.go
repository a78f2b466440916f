// Command host is a small web service with telemetry, as a template. It keeps
// its settings, and so the installation ID, in config.json in the working
// directory.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

func main() {
	rollcall.RunChild() // first of all, for Isolate
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		slog.Error(err.Error())
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	service, err := rollcall.New(rollcall.Config{
		App: "example", Version: "v1.0.0", Endpoint: "https://telemetry.example.org",
		ConfigPath: "config.json", // the operator grants at telemetry.enabled
		Lazy:       true,          // serve at once, however slow the disk is
		Isolate:    true,          // exit at once, even if the disk hangs
		Logger:     slog.Default(),
	})
	if err != nil {
		slog.Warn("No telemetry", "error", err) // service is nil, which is fine
	}
	if err := service.Start(ctx); err != nil {
		return err
	}
	defer service.Stop(context.WithoutCancel(ctx))

	mux := http.NewServeMux()
	mux.HandleFunc("GET /installation", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, service.ID())
	})
	// This program has no login, so its page shows what is sent and changes
	// nothing. Behind a login for the operator, set Rights: page.BehindLogin.
	mux.Handle("/telemetry/", page.Handler(service, page.Options{
		Title: "Example host", BasePath: "/telemetry", SignIn: "Edit telemetry.enabled in config.json instead.",
	}))
	server := http.Server{Addr: cmp.Or(os.Getenv("LISTEN"), "localhost:8080"), Handler: mux}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
