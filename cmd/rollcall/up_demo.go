package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
)

// The fleet of a demo: enough for each chart to have something to show, and few enough to be there within seconds.
const (
	demoApp           = "demo"
	demoInstallations = 1200
	demoDays          = 120
	demoSeed          = 1
)

// addDemo adds an app with the past of a simulated fleet.
func addDemo(ctx context.Context, out io.Writer, c *engine.Engine) (err error) {
	begin := time.Now()
	app, err := c.AddApp(ctx, collector.App{Key: demoApp, Name: "Demo (simulated)"})
	if err != nil {
		return fmt.Errorf("make the demo: %w", err)
	}
	fleet, err := simulate.New(simulate.Config{
		Seed: demoSeed, App: demoApp, Installations: demoInstallations, Days: demoDays,
	})
	if err != nil {
		return fmt.Errorf("make the demo: %w", err)
	}
	loader, err := c.Load(ctx, app.Num)
	if err != nil {
		return fmt.Errorf("make the demo: %w", err)
	}
	if err := errors.Join(fleet.Load(ctx, loader, 0, nil), loader.Close(ctx)); err != nil {
		return fmt.Errorf("make the demo: %w", err)
	}
	fmt.Fprintf(out, "Simulated %d installations over %d days in %v.\n",
		demoInstallations, demoDays, time.Since(begin).Round(100*time.Millisecond))
	return nil
}
