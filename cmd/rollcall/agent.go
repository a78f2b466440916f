package main

import (
	"errors"
	"log/slog"
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

	// agentStopTimeout bounds the time from a signal to the exit, even
	// if nobody reads the log, or the disk hangs with --isolate=false.
	agentStopTimeout = 900 * time.Millisecond
)

func newAgent() *cobra.Command {
	a := &agentCommand{}
	return with(&cobra.Command{
		Use:   "agent",
		Short: "Run the telemetry service of one installation",
		Long: `Run the telemetry service of one installation until a signal stops it. The agent
finds the installation ID, or creates and stores one, and serves it to programs
on this machine:

  GET /v1/installation  the ID, and whether it is persisted; 503 until it is settled, ?wait=5s waits for that
  GET /v1/status        the whole status, including the last error
  GET /healthz          200 while the agent is alive
  GET /readyz           200 once the ID is settled, 503 before
  GET /metrics          for Prometheus
  GET /v1/consent       the operator's decisions; POST changes them, as {"telemetry": false}
  GET /                 the operator's page, which shows what is sent and has the switch

The server listens on loopback unless --listen says otherwise; "off" disables
it. It answers from the start, even while the disk hangs. The Host header of a
request has to be a loopback address, localhost, the host of --listen or one of
--allow-host. Requests from web pages of other sites are refused.

SIGTERM and SIGINT stop the agent within a second, with exit code 0. A second
signal stops it at once. Under systemd, Type=notify and WatchdogSec= work.
Several agents may share one config; they agree on the ID.`,
		Example: "  rollcall agent\n  rollcall agent --config /srv/app/config.json --listen 127.0.0.1:9000\n" +
			"  rollcall agent --no-config --app myapp --log-format json",
		Args: noArguments,
		RunE: a.run,
	}, a)
}

type agentCommand struct {
	reporting reportingFlags
	log       logFlags

	limits       rollcall.Limits
	lazy         bool
	afterConsent bool

	listen     string
	allowHosts []string
}

func (a *agentCommand) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	a.reporting.add(cmd)
	addFlag(flags, countValue(&a.limits.Attempts, rollcall.DefaultAttempts, rollcall.MaxAttempts), "attempts",
		"how often to try to save the ID before using one in memory")
	addFlag(flags, durationValue(&a.limits.AttemptTimeout, rollcall.DefaultAttemptTimeout), "attempt-timeout",
		"limit of one attempt")
	addFlag(flags, durationValue(&a.limits.StartTimeout, rollcall.DefaultStartTimeout), "start-timeout",
		"limit of all attempts together")
	addFlag(flags, durationValue(&a.limits.Backoff, rollcall.DefaultBackoff), "backoff",
		"wait after the first attempt; doubles after each further one")
	addFlag(flags, boolValue(&a.lazy, false), "lazy",
		"no effect: an agent always settles the ID in the background, as the library does with this setting")
	addFlag(flags, boolValue(&a.afterConsent, false), "after-consent",
		"create no ID before telemetry is granted")
	addFlag(flags, textValue(&a.listen, "address", defaultListen), "listen",
		`address of the local server, or "off"; beyond loopback, other machines may read the ID`)
	addFlag(flags, listValue(&a.allowHosts, "names"), "allow-host",
		"further names to accept in the Host header, separated by commas")
	a.log.add(cmd)
}

func (a *agentCommand) run(cmd *cobra.Command, _ []string) error {
	config, err := a.reporting.rollcallConfig(cmd)
	if err != nil {
		return err
	}
	config.Limits, config.Lazy, config.ID.AfterConsent = a.limits, a.lazy, a.afterConsent
	log := a.log.logger(cmd.ErrOrStderr())
	_, local, err := newAgentOf(cmd, config, log, agent.Options{Listen: listenAddress(a.listen), AllowHosts: a.allowHosts})
	if err != nil {
		return err
	}
	ctx, done := untilSignal(cmd.Context(), agentStopTimeout)
	defer done()
	return explainListen(local.Run(ctx))
}

// newAgentOf returns a service and an agent that runs it, with metrics
// and the operator's page.
func newAgentOf(cmd *cobra.Command, config rollcall.Config, log *slog.Logger, opts agent.Options) (*rollcall.Service, *agent.Agent, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	observer, err := metrics.New(registry)
	if err != nil {
		return nil, nil, err
	}
	persisted := make(chan struct{}, 1)
	config.Logger, config.Observer = log, persistedSignal{observer, persisted}
	service, err := rollcall.New(config)
	if err != nil {
		return nil, nil, inFlags(cmd, err)
	}
	opts.Version = buildVersion().Version
	opts.Metrics = registry
	opts.Page = page.Handler(service, page.Options{Title: config.App, AnyHost: true})
	opts.Persisted = persisted
	opts.Logger = log
	local, err := agent.New(service, opts)
	return service, local, explainListen(err)
}

// listenAddress returns an empty address for "off".
func listenAddress(text string) string {
	if text == listenOff {
		return ""
	}
	return text
}

func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another agent may be running; choose another address with --listen, or use --listen off")
	case errors.Is(err, listen.ErrAddress):
		return withHint(err, "--listen takes host:port, such as %s, or off", defaultListen)
	}
	return err
}

// A persistedSignal is an observer that also signals when the ID
// became persisted or in-memory.
type persistedSignal struct {
	installid.Observer
	changed chan<- struct{}
}

func (s persistedSignal) PersistedChanged(persisted bool) {
	s.Observer.PersistedChanged(persisted)
	select {
	case s.changed <- struct{}{}:
	default: // the last signal is still there
	}
}
