package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/internal/terminal"
)

func newSimulate() *cobra.Command {
	s := &simulation{}
	cmd := &cobra.Command{
		Use:   "simulate",
		Short: "Make a fleet of known truth, for tests and demonstrations",
		Long: `Make a fleet of installations of which everything is known: growth and churn, weekends and vacations, upgrades, clones, IDs
that are seen once or never persisted, forgeries, development versions and faults. The same --seed makes the same fleet.

With --data-dir its days are loaded into an app that has counted nothing yet, while no process runs the collector; with
--but-today all but the last one. With --endpoint the reports of the last day, which is today, are sent over HTTP. That is a
load test: --endpoint has to be on this machine, unless with --anywhere, and the app has to be known there. With neither
nothing is stored. In each case the main figures of the truth are shown: what the collector has to answer.

The limits for one address are lower than what a simulation sends. The collector that is tested is started with
--limit-address off --limit-address-new off --limit-installation off.`,
		Example: "  rollcall simulate --installations 5000 --days 200 --data-dir rollcall-data\n\n" +
			"  rollcall simulate --installations 5000 --data-dir rollcall-data --but-today\n" +
			"  rollcall collector serve --limit-address off --limit-address-new off --limit-installation off &\n" +
			"  rollcall simulate --installations 5000 --endpoint http://127.0.0.1:8947",
		Args: noArguments,
		RunE: s.run,
	}
	flags := cmd.Flags()
	flags.IntVar(&s.config.Installations, "installations", 1000, "how many installations there ever are, forgeries aside")
	flags.IntVar(&s.config.Days, "days", 90, "how many days the fleet lives, up to today")
	flags.Uint64Var(&s.config.Seed, "seed", 1, "what the fleet is made from")
	flags.IntVar(&s.config.Forged, "forged", 0, "how many forged IDs report as well")
	flags.StringVar(&s.config.App, "app", "demo", "the key of the app that reports")
	flags.StringVar(&s.dataDir, "data-dir", "", "the data folder of a collector that does not run")
	flags.BoolVar(&s.butToday, "but-today", false, "load all days but the last one")
	flags.StringVar(&s.sending.Endpoint, "endpoint", "", "the URL of a collector that runs")
	flags.BoolVar(&s.anywhere, "anywhere", false, "allow an --endpoint on another machine, which has to be yours")
	flags.Float64Var(&s.sending.Rate, "rate", 0, "reports a second over HTTP (0 is as many as can be)")
	flags.IntVar(&s.sending.Connections, "connections", 16, "connections over HTTP")
	flags.DurationVar(&s.sending.Duration, "duration", 0, "how long to send at most (0 is until all is sent)")
	flags.StringVar(&s.truth, "truth", "", "write the whole truth to this file, as JSON")
	addJSON(cmd, &s.asJSON)
	cmd.MarkFlagsMutuallyExclusive("data-dir", "endpoint")
	cmd.MarkFlagsMutuallyExclusive("but-today", "endpoint")
	_ = cmd.MarkFlagDirname("data-dir")
	return cmd
}

type simulation struct {
	config   simulate.Config
	sending  simulate.Sending
	dataDir  string
	butToday bool
	anywhere bool
	truth    string
	asJSON   bool
}

// simulateOutput is the output of simulate --json.
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
	if s.sending.Endpoint != "" && !s.anywhere && !isLoopback(s.sending.Endpoint) {
		return withHint(fmt.Errorf("--endpoint %s is not on this machine", s.sending.Endpoint),
			"a load test of a collector of your own on another machine needs --anywhere")
	}
	output := simulateOutput{Seed: s.config.Seed, Installations: s.config.Installations, Days: s.config.Days}
	switch {
	case s.dataDir != "":
		err = s.load(cmd, fleet)
	case s.sending.Endpoint != "":
		output.Sent, err = s.send(cmd, fleet)
	}
	if err != nil {
		return err
	}
	truth := fleet.Truth()
	output.Last = truth.Series(collector.Range{From: fleet.Last(), To: fleet.Last()})[0]
	if s.truth != "" {
		if err := writeTruth(s.truth, truth.Figures(fleet.Range())); err != nil {
			return err
		}
	}
	if s.asJSON {
		return printJSON(cmd.OutOrStdout(), output)
	}
	return output.print(cmd.OutOrStdout())
}

// load loads the fleet into a data folder.
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

// loadFleet loads the days of a fleet up to and with one into its app, which is added when it is not there.
func loadFleet(ctx context.Context, c *engine.Engine, fleet *simulate.Fleet, to collector.Day, progress *progressbar.ProgressBar) error {
	key := fleet.Config().App
	app, ok := c.App(key)
	if !ok {
		var err error
		if app, err = c.AddApp(ctx, collector.App{Key: key, ExcludeDevelopment: fleet.Config().ExcludeDevelopment}); err != nil {
			return err
		}
	} else if app.ExcludeDevelopment != fleet.Config().ExcludeDevelopment {
		return withHint(fmt.Errorf("app %s counts development versions in another way than the fleet", key), "load into another app")
	}
	l, err := c.Load(ctx, app.Num)
	if err != nil {
		return withHint(fmt.Errorf("load into app %s: %w", key, err), "--app names one that is new")
	}
	if err := fleet.Load(ctx, l, to, func(done, _ int) { _ = progress.Set(done) }); err != nil {
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
		return nil, withHint(err, "does a collector listen there? rollcall collector serve starts one")
	}
	return &result, nil
}

// newProgress gives a bar with the rate and the time that is left, at a terminal, and else one that nobody sees.
func newProgress(cmd *cobra.Command, what string, of int) *progressbar.ProgressBar {
	file, ok := cmd.ErrOrStderr().(*os.File)
	if !ok || !terminal.Is(file) {
		return progressbar.DefaultSilent(int64(of))
	}
	return progressbar.NewOptions(of, progressbar.OptionSetWriter(file), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetItsString(what), progressbar.OptionSetPredictTime(true), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionFullWidth())
}

// isLoopback tells whether a URL leads to this machine: by its text, without asking for names.
func isLoopback(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	address := net.ParseIP(u.Hostname())
	return address != nil && address.IsLoopback()
}

func writeTruth(name string, figures simulate.Figures) error {
	file, err := os.OpenFile(filepath.Clean(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return withHint(err, "--truth names a file that can be written")
	}
	return errors.Join(printJSON(file, figures), file.Close())
}

func (o *simulateOutput) print(w io.Writer) error {
	count := func(n uint64) string { return fmt.Sprint(n) }
	windows := func(n [4]uint64) string {
		return fmt.Sprintf("%d in a day, %d in 7, %d in 28, %d in 30 days", n[0], n[1], n[2], n[3])
	}
	d := &o.Last
	pairs := []string{
		"Truth of", d.Day.String(), "Active", windows(d.Active), "Established", windows(d.Established),
		"New", count(d.New), "Returning", count(d.Returning), "Lost", count(d.Lost), "In memory", count(d.InMemory),
	}
	if r := o.Sent; r != nil {
		var refused strings.Builder
		for status, n := range r.Refused {
			refused.WriteString(fmt.Sprintf("%d with status %d ", n, status))
		}
		pairs = append(pairs,
			"Accepted", fmt.Sprintf("%d, %.0f a second", r.Accepted, r.PerSecond()),
			"Refused", refused.String(), "Failed", fmt.Sprintf("%d, %d tried again", r.Failed, r.Retried),
			"Latency", fmt.Sprintf("%v median, %v for 99 %%, %v at most", r.Latency.Quantile(0.5).Round(10*time.Microsecond),
				r.Latency.Quantile(0.99).Round(10*time.Microsecond), r.Latency.Max().Round(10*time.Microsecond)))
	}
	return printPairs(w, pairs...)
}
