package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/spf13/cobra"
)

// agentStopTimeout bounds the time from a signal to the exit, even if
// nobody reads the log, or the disk hangs with --isolate=false.
const agentStopTimeout = 900 * time.Millisecond

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
  GET /v1/update        the newest release, if it is newer than the host's version; POST asks, if that is due
  GET /healthz          200 while the agent is alive
  GET /readyz           200 once the ID is settled, 503 before
  GET /metrics          for Prometheus
  GET /v1/consent       the operator's decisions; POST changes them, as {"telemetry": false}
  PUT /v1/facts         the values of the host's facts, which --facts declares
  PUT /v1/host          the host's version
  POST /v1/faults       counts a fault of the host
  GET /v1/preview       what would be sent now, and why
  POST /v1/send         sends it, if telemetry is granted
  GET /v1/openapi.json  describes all of these
  GET /                 the operator's page, which shows what is sent and has the switch

Whoever reaches the server can read the ID, the status, and the page. With the
ID, anyone can report in the installation's name, or have the collector delete
it. Every user of this machine can also deny. Only the operator can grant, reset,
or forget, and use the paths from /v1/facts to /v1/send: with the token in the
hidden file that ends in .rollcall-token beside the ID, in a browser that
"rollcall page" signed in, or over a Unix socket, where the kernel says who
connects: root, the agent's user, and the owner of the config.

With --endpoint, --app, and a version in --host-version or from the host, the
agent reports to a collector once the operator has granted telemetry. With
--update-url as well, it asks for newer releases once the operator has granted
that.

The server listens on loopback unless --listen says otherwise; "off" disables
it. Give --listen several times for several addresses; unix:PATH is a Unix
socket. The server answers from the start, even while the disk hangs. The Host
header of a request has to be a loopback address, localhost, the host of
--listen or one of --allow-host. Requests from web pages of other sites are
refused.

SIGTERM and SIGINT stop the agent within a second, with exit code 0. A second
signal stops it at once. Under systemd, Type=notify and WatchdogSec= work.
Several agents may share one config; they agree on the ID.`,
		Example: "  rollcall agent\n  rollcall agent --config /srv/app/config.json --listen 127.0.0.1:9000\n" +
			"  rollcall agent --app myapp --host-version 1.2.3 --endpoint https://collector.example\n" +
			"  rollcall agent --listen 127.0.0.1:8946 --listen unix:/run/app/rollcall.sock\n" +
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

	listen     []string
	socketMode fs.FileMode
	allowHosts []string

	faultContext []string
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
	addFlag(flags, listenValue(&a.listen), "listen",
		`addresses of the local server, or "off"; beyond loopback, other machines can read the ID and so report in its name`)
	addFlag(flags, modeValue(&a.socketMode, 0o600), "socket-mode",
		"mode of Unix sockets; users that it lets in can read and deny, unless they are the operator")
	addFlag(flags, listValue(&a.allowHosts, "names"), "allow-host",
		"further names to accept in the Host header, separated by commas")
	addFlag(flags, listValue(&a.faultContext, "keys"), "fault-context",
		"keys that the context of a fault in POST /v1/faults may have, separated by commas")
	a.log.add(cmd)
}

func (a *agentCommand) run(cmd *cobra.Command, _ []string) error {
	config, err := a.reporting.rollcallConfig(cmd)
	if err != nil {
		return err
	}
	config.Limits, config.Lazy, config.ID.AfterConsent = a.limits, a.lazy, a.afterConsent
	log := a.log.logger(cmd.ErrOrStderr())
	config.Reporting.FaultContext = a.faultContext
	_, local, err := newAgentOf(cmd, config, log, agent.Options{
		Listen: a.listen, SocketMode: a.socketMode, AllowHosts: a.allowHosts, Host: a.reporting.facts.host,
	})
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
	opts.FaultContext = config.Reporting.FaultContext
	opts.Version = buildVersion().Version
	opts.Metrics = registry
	opts.Gate = operator.New(service)
	opts.Page = page.Handler(service, page.Options{
		Title: config.App, AnyHost: true, Rights: opts.Gate.Rights,
		SignIn: "To sign in, run “rollcall page” with the agent's settings, and open the link that it prints.",
	})
	opts.Persisted = persisted
	opts.Logger = log
	local, err := agent.New(service, opts)
	return service, local, explainListen(err)
}

func explainListen(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return withHint(err, "another agent may be running; choose another address with --listen, or use --listen off")
	case errors.Is(err, listen.ErrAddress):
		return withHint(err, "--listen takes host:port, such as %s, unix:PATH, or off", defaultListen)
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
