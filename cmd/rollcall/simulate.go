package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/internal/loopback"
)

func newSimulate() *cobra.Command {
	s := &simulation{}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Simulate a fleet, for tests and demonstrations",
		Long: `Simulate a fleet of installations of which everything is known: growth and
churn, weekends and vacations, upgrades, clones, IDs that are seen once or never
persisted, forgeries, development versions and faults. The same --seed makes the
same fleet.

--data-dir loads all its days, or with --but-today all but the last, into an app
that has counted nothing yet. The collector must not be running. --endpoint
sends the reports of the last day, which is today, over HTTP to a collector that
knows the app. This is a load test, so the endpoint has to be on this machine,
unless you add --anywhere. Without either flag nothing is stored. In each case
the main figures are printed, which are those that the collector has to report.

One address may not send as much as a simulation does. For a load test, start
the collector with --limit-address off --limit-address-new off
--limit-installation off.`,
		Example: "  rollcall simulate --installations 5000 --days 200 --data-dir rollcall-data\n\n" +
			"  rollcall simulate --installations 5000 --data-dir rollcall-data --but-today\n" +
			"  rollcall collector serve --limit-address off --limit-address-new off --limit-installation off &\n" +
			"  rollcall simulate --installations 5000 --endpoint http://127.0.0.1:8947",
		Args: noArguments,
		RunE: s.run,
	}
	flags := cmd.Flags()
	flags.IntVar(&s.config.Installations, "installations", 1000, "number of installations over all days, without forgeries")
	flags.IntVar(&s.config.Days, "days", 90, "number of days, up to today")
	flags.Uint64Var(&s.config.Seed, "seed", 1, "seed of the random numbers")
	flags.IntVar(&s.config.Forged, "forged", 0, "number of forged IDs")
	flags.StringVar(&s.config.App, "app", "demo", "key of the app that reports")
	flags.StringVar(&s.dataDir, "data-dir", "", "load into this data directory of a collector")
	flags.BoolVar(&s.butToday, "but-today", false, "load all days but the last")
	flags.StringVar(&s.sending.Endpoint, "endpoint", "", "send to the collector at this URL")
	flags.BoolVar(&s.anywhere, "anywhere", false, "allow an --endpoint on another machine, which must be yours")
	flags.Float64Var(&s.sending.Rate, "rate", 0, "reports per second over HTTP (0 is as many as possible)")
	flags.IntVar(&s.sending.Connections, "connections", 16, "number of HTTP connections")
	flags.DurationVar(&s.sending.Duration, "duration", 0, "how long to send at most (0 is until all is sent)")
	flags.StringVar(&s.truth, "truth", "", "write the whole truth to this file, as JSON")
	s.out.add(cmd)
	exclusive(cmd, "data-dir", "endpoint")
	exclusive(cmd, "but-today", "endpoint")
	completeDirectory(cmd, "data-dir")
	return cmd
}

type simulation struct {
	config   simulate.Config
	sending  simulate.Sending
	dataDir  string
	butToday bool
	anywhere bool
	truth    string
	out      output
}

type simulateOutput struct {
	Seed          uint64           `json:"seed"`
	Installations int              `json:"installations"`
	Days          int              `json:"days"`
	Last          simulate.Day     `json:"last_day"`
	Sent          *simulate.Result `json:"sent,omitempty"`
}

func (s *simulation) run(cmd *cobra.Command, _ []string) error {
	fleet, err := simulate.New(s.config)
	if err != nil {
		return withHint(err, "rollcall simulate --help lists the flags")
	}
	if s.sending.Endpoint != "" && !s.anywhere && !isOnThisMachine(s.sending.Endpoint) {
		return withHint(fmt.Errorf("--endpoint %s is not on this machine", s.sending.Endpoint),
			"add --anywhere to test your own collector on another machine")
	}
	result := simulateOutput{Seed: s.config.Seed, Installations: s.config.Installations, Days: s.config.Days}
	switch {
	case s.dataDir != "":
		err = s.load(cmd, fleet)
	case s.sending.Endpoint != "":
		result.Sent, err = s.send(cmd, fleet)
	}
	if err != nil {
		return err
	}
	truth := fleet.Truth()
	result.Last = truth.Series(collector.Range{From: fleet.Last(), To: fleet.Last()})[0]
	if s.truth != "" {
		if err := writeTruth(s.truth, truth.Figures(fleet.Range())); err != nil {
			return err
		}
	}
	return s.out.print(cmd, result, result.print)
}

func (s *simulation) load(cmd *cobra.Command, fleet *simulate.Fleet) error {
	ctx := cmd.Context()
	data, err := datadir.Open(ctx, s.dataDir, datadir.Options{Create: true})
	if err != nil {
		return explainCollector(err)
	}
	defer data.Close()
	to := fleet.Last()
	if s.butToday {
		to--
	}
	return explainCollector(loadFleet(ctx, data.Collector, fleet, to, newProgress(cmd, "days", s.config.Days)))
}

// loadFleet loads the days of a fleet up to and including one into its
// app, which it adds if necessary.
func loadFleet(ctx context.Context, c *engine.Engine, fleet *simulate.Fleet, to collector.Day, progress *progressbar.ProgressBar) error {
	key := fleet.Config().App
	app, ok := c.App(key)
	if !ok {
		var err error
		if app, err = c.AddApp(ctx, collector.App{Key: key, ExcludeDevelopment: fleet.Config().ExcludeDevelopment}); err != nil {
			return err
		}
	} else if app.ExcludeDevelopment != fleet.Config().ExcludeDevelopment {
		return withHint(fmt.Errorf("app %s and the fleet differ in how they count development versions", key), "load into another app with --app")
	}
	l, err := c.Load(ctx, app.Num)
	if err != nil {
		return withHint(fmt.Errorf("load into app %s: %w", key, err), "name a new app with --app")
	}
	if err := fleet.Load(ctx, l, to, func(days int) { _ = progress.Set(days) }); err != nil {
		return errors.Join(err, l.Close(context.WithoutCancel(ctx)))
	}
	_ = progress.Finish()
	return l.Close(ctx)
}

func (s *simulation) send(cmd *cobra.Command, fleet *simulate.Fleet) (*simulate.Result, error) {
	progress := newProgress(cmd, "reports", fleet.LastReports())
	s.sending.Progress = func() { _ = progress.Add(1) }
	result, err := fleet.Send(cmd.Context(), s.sending)
	_ = progress.Finish()
	if err != nil {
		return nil, withHint(err, "start a collector there: rollcall collector serve")
	}
	return &result, nil
}

// isOnThisMachine looks up no host.
func isOnThisMachine(endpoint string) bool {
	u, err := url.Parse(endpoint)
	return err == nil && loopback.IsHost(u.Hostname())
}

func writeTruth(name string, figures simulate.Figures) error {
	file, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return withHint(err, "name a file that you can write to with --truth")
	}
	return errors.Join(printJSON(file, figures), file.Close())
}

func (o *simulateOutput) print(w io.Writer) error {
	windows := func(n [4]uint64) string {
		return fmt.Sprintf("%d in 1 day, %d in 7 days, %d in 28 days, %d in 30 days", n[0], n[1], n[2], n[3])
	}
	d := &o.Last
	pairs := []string{
		"Day", d.Day.String(), "Active", windows(d.Active), "Established", windows(d.Established),
		"New", fmt.Sprint(d.New), "Returning", fmt.Sprint(d.Returning), "Lost", fmt.Sprint(d.Lost), "In memory", fmt.Sprint(d.InMemory),
	}
	if r := o.Sent; r != nil {
		var refused []string
		for _, status := range slices.Sorted(maps.Keys(r.Refused)) {
			refused = append(refused, fmt.Sprintf("%d with status %d", r.Refused[status], status))
		}
		latency := func(q float64) time.Duration { return r.Latency.Quantile(q).Round(10 * time.Microsecond) }
		pairs = append(pairs,
			"Accepted", fmt.Sprintf("%d, %.0f per second", r.Accepted, r.PerSecond()),
			"Refused", strings.Join(refused, ", "), "Failed", fmt.Sprintf("%d, %d retried", r.Failed, r.Retried),
			"Latency", fmt.Sprintf("median %v, 99th percentile %v, maximum %v", latency(0.5), latency(0.99), latency(1)))
	}
	return printPairs(w, pairs...)
}
