package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/schollz/progressbar/v3"
)

// The fleet of a demo is large enough for every chart to show something,
// and small enough to load within seconds.
const (
	demoApp           = "demo"
	demoInstallations = 1200
	demoDays          = 120
	demoSeed          = 1
)

// addDemo adds an app with the history of a simulated fleet.
func addDemo(ctx context.Context, out io.Writer, c *engine.Engine) error {
	begin := time.Now()
	fleet, err := simulate.New(simulate.Config{
		Seed: demoSeed, App: demoApp, Installations: demoInstallations, Days: demoDays,
	})
	if err == nil {
		_, err = c.AddApp(ctx, collector.App{Key: demoApp, Name: "Demo (simulated)"})
	}
	if err == nil {
		err = loadFleet(ctx, c, fleet, fleet.Last(), progressbar.DefaultSilent(demoDays))
	}
	if err != nil {
		return fmt.Errorf("simulate the demo: %w", err)
	}
	fmt.Fprintf(out, "Simulated %d installations over %d days in %v.\n",
		demoInstallations, demoDays, time.Since(begin).Round(100*time.Millisecond))
	return nil
}
