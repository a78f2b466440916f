package main

import (
	"cmp"
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/spf13/cobra"
)

const (
	defaultListen = "127.0.0.1:8946"
	listenOff     = "off"

	// exitLimit is how long after a signal the process ends at the latest, whatever hangs: a log that nobody reads, or
	// with --isolate=false a disk.
	exitLimit = 900 * time.Millisecond
)

func newAgent() *cobra.Command {
	a := &agentCommand{}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Run the telemetry service of one installation",
		Long: `Run the telemetry service of one installation, until a signal ends it. It finds the installation ID, or makes one and
stores it, and serves it to programs on this machine:

  GET /v1/installation  the ID, and whether it is persisted; 503 until it is settled, for which ?wait=5s waits
  GET /v1/status        all that is known about it, the last error included
  GET /healthz          200 while the agent is alive
  GET /readyz           200 once the ID is settled, 503 before
  GET /metrics          for Prometheus
  GET /v1/consent       what the operator decided; POST takes a decision, as {"telemetry": false}
  GET /                 the operator's page: what is sent, and the switch

The server listens on loopback unless --listen says otherwise; "off" turns it off. It answers from the beginning, also
while the disk hangs. A request has to name a loopback address, localhost, the host of --listen or one of --allow-host
in its Host header, and web pages of other sites are refused.

SIGTERM and SIGINT end the agent within a second and with exit code 0. A second signal ends it at once. Under systemd,
Type=notify and WatchdogSec= are supported. Several agents may share one config; they agree on the ID.`,
		Example: "  rollcall agent\n  rollcall agent --config /srv/app/config.json --listen 127.0.0.1:9000\n" +
			"  rollcall agent --no-config --app myapp --log-format json",
		Args: noArguments,
		RunE: a.run,
	}
	a.add(cmd)
	return cmd
}

type agentCommand struct {
	reporting reporting
	logging   logging

	attempts       int
	attemptTimeout time.Duration
	startTimeout   time.Duration
	backoff        time.Duration
	lazy           bool
	afterConsent   bool

	listen     string
	allowHosts []string
}

func (a *agentCommand) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	a.reporting.add(cmd)
	addSetting(flags, countSetting(&a.attempts, rollcall.DefaultAttempts, rollcall.MaxAttempts), "attempts",
		"how often saving is tried before an ID in memory serves")
	addSetting(flags, durationSetting(&a.attemptTimeout, rollcall.DefaultAttemptTimeout), "attempt-timeout",
		"limit of one attempt")
	addSetting(flags, durationSetting(&a.startTimeout, rollcall.DefaultStartTimeout), "start-timeout",
		"limit of all attempts together")
	addSetting(flags, durationSetting(&a.backoff, rollcall.DefaultBackoff), "backoff",
		"wait after the first attempt; it doubles with each further one")
	addSetting(flags, boolSetting(&a.lazy, false), "lazy",
		"settle the ID in the background, which an agent does in any case; accepted for symmetry with the library")
	addSetting(flags, boolSetting(&a.afterConsent, false), "after-consent",
		"make no ID before telemetry is granted in the config")
	addSetting(flags, textSetting(&a.listen, "address", defaultListen), "listen",
		`address of the local server, or "off"; on any but loopback, other machines may read the ID`)
	addSetting(flags, listSetting(&a.allowHosts, "names"), "allow-host",
		"further names in the Host header to answer to, separated by commas")
	a.logging.add(cmd)
}

func (a *agentCommand) run(cmd *cobra.Command, _ []string) error {
	config, err := a.reporting.rollcallConfig(cmd)
	if err != nil {
		return err
	}
	log := a.logging.logger(cmd.ErrOrStderr())
	registry := newRegistry()
	observer, err := metrics.New(registry)
	if err != nil {
		return err
	}
	persisted := make(chan struct{}, 1)
	config.Limits.Attempts, config.Limits.AttemptTimeout = a.attempts, a.attemptTimeout
	config.Limits.StartTimeout, config.Limits.Backoff = a.startTimeout, a.backoff
	config.Lazy, config.ID.AfterConsent = a.lazy, a.afterConsent
	config.Logger = log
	config.Observer = persistedSignal{observer, persisted}
	service, err := rollcall.New(config)
	if err != nil {
		return inFlags(cmd, err)
	}
	server, err := agent.New(service, agent.Options{
		Listen:     listenAddress(a.listen),
		AllowHosts: a.allowHosts,
		Version:    buildVersion().Version,
		Metrics:    registry,
		Page:       page.Handler(service, page.Options{Title: config.App, AnyHost: true}),
		Persisted:  persisted,
		Logger:     log,
	})
	if err != nil {
		return explainListen(err)
	}
	ctx, done := untilSignal(cmd.Context(), exitLimit)
	defer done()
	return explainListen(server.Run(ctx))
}

// listenAddress is the address to listen on, empty for none.
func listenAddress(text string) string {
	if text == listenOff {
		return ""
	}
	return text
}

func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another agent may be running; choose another address with --listen, or --listen off")
	case errors.Is(err, listen.ErrAddress):
		return withHint(err, "--listen takes host:port, such as %s, or off", defaultListen)
	}
	return err
}

// untilSignal gives a context that ends with the first SIGINT or SIGTERM. From then on the process ends within the limit,
// unless done is called before, and at once with a second signal.
func untilSignal(parent context.Context, limit time.Duration) (ctx context.Context, done func()) {
	ctx, release := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		release() // a second signal has its usual effect
		select {
		case <-time.After(limit):
			os.Exit(exitOK)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		release()
	}
}

// newRegistry gives a registry with what Prometheus wants to know of any program.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return registry
}

// persistedSignal passes all on to another observer, and tells a channel when the ID became persisted or in-memory.
type persistedSignal struct {
	installid.Observer
	changed chan<- struct{}
}

// PersistedChanged implements [installid.Observer].
func (s persistedSignal) PersistedChanged(persisted bool) {
	s.Observer.PersistedChanged(persisted)
	select {
	case s.changed <- struct{}{}:
	default: // it has not looked since the last time
	}
}

// environmentOr is the value of a variable, or fallback when it is unset or empty.
func environmentOr(name, fallback string) string {
	return cmp.Or(os.Getenv(name), fallback)
}
