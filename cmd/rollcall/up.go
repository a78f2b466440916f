package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/simulate"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

const (
	// defaultUpApp is the app that counts this machine's installation.
	defaultUpApp = "my-app"
	// upStopTimeout bounds the shutdown of the collector, and revokeTimeout the
	// revocation of the link's token before that.
	upStopTimeout = 5 * time.Second
	revokeTimeout = 3 * time.Second

	// consentInterval is how often sendOnceGranted reads the consent, and
	// maxFirstSends how often it sends. Later the agent sends as usual.
	consentInterval = time.Second
	maxFirstSends   = 10
)

func newUp() *cobra.Command {
	u := &up{}
	return with(&cobra.Command{
		Use:   "up",
		Short: "Run an agent and a collector together",
		Long: `Run an agent and a collector together on this machine, until a signal stops
them, to see the operator's page of the installation and the dashboard of the
maintainer. The agent keeps its ID in --config as usual, and the collector its
data in --data-dir.

Nothing is sent until the operator grants telemetry: on the operator's page, at
the prompt in the terminal, with "rollcall enable", or with --yes. Within
seconds the installation is then counted in the app that --app names.

--demo adds an app with a simulated fleet. The data of a demo is in a temporary
directory that is removed at the end.

The link to the dashboard works once. The browser that opens it stays signed in
as long as this command runs.`,
		Example: "  rollcall up --demo\n  rollcall up --app myapp --data-dir /srv/rollcall",
		Args:    noArguments,
		RunE:    u.run,
	}, u)
}

type up struct {
	storage         storageFlags
	denial          denialFlags
	facts           factsFlag
	data            dataDirFlag
	log             logFlags
	listen          []string
	collectorListen string
	hostVersion     string
	demo            bool
	yes             bool
}

func (u *up) add(cmd *cobra.Command) {
	flags := with(cmd, &u.storage, &u.denial, &u.facts, &u.log).Flags()
	u.data.addDir(cmd)
	addFlag(flags, textValue(&u.hostVersion, "version", ""), "host-version", "the host's version; by default rollcall's own")
	addFlag(flags, listenValue(&u.listen), "listen", `addresses of the agent's local server, or "off"`)
	addFlag(flags, textValue(&u.collectorListen, "address", defaultCollectorListen), "collector-listen", "address of the collector")
	flags.BoolVar(&u.demo, "demo", false, "add a simulated fleet, and keep the collector's data in a temporary directory")
	flags.BoolVarP(&u.yes, "yes", "y", false, "grant telemetry, to this collector only")
}

func (u *up) run(cmd *cobra.Command, _ []string) error {
	if u.demo && originOf(cmd.Flag("data-dir")) == byFlag {
		return withHint(errors.New("--demo and --data-dir are both set"), "omit --data-dir, because a demo has a temporary directory")
	}
	if err := u.data.check(); err != nil {
		return err
	}
	u.storage.app = cmp.Or(u.storage.app, defaultUpApp)
	ctx, done := untilSignal(cmd.Context(), revokeTimeout+upStopTimeout)
	defer done()
	dir := u.data.path
	if u.demo {
		temporary, err := os.MkdirTemp("", "rollcall-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	log := u.log.logger(cmd.ErrOrStderr())
	link := newSignInLink()
	server, err := daemon.Open(ctx, daemon.Options{
		Dir: dir, Listen: u.collectorListen, StopTimeout: upStopTimeout, Version: buildVersion().Version,
		Logger: log, Wrap: link.wrap,
	})
	if errors.Is(err, listen.ErrAddress) {
		return withHint(err, "another program may listen there; choose another address with --collector-listen")
	}
	if err != nil {
		return explainCollector(err)
	}
	return u.runBoth(ctx, cmd, server, link, log)
}

// runBoth runs the agent and the collector until ctx ends or one of
// them fails, which stops the other.
func (u *up) runBoth(ctx context.Context, cmd *cobra.Command, server *daemon.Daemon, link *signInLink, log *slog.Logger) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	run := func(part func(context.Context) error) { running.Go(func() { stop(part(ctx)) }) }
	// The collector ends after the link's token is revoked.
	serving, stopServing := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServing()
	context.AfterFunc(ctx, func() {
		defer stopServing()
		revoking, cancel := context.WithTimeout(serving, revokeTimeout)
		defer cancel()
		if err := revokeSignInLink(revoking, server.Tokens()); err != nil {
			log.Warn("The token of the sign-in link was not revoked", "error", err.Error())
		}
	})
	run(func(context.Context) error { return server.Run(serving) })
	address := "http://" + server.Addr().String()
	service, local, err := u.prepare(ctx, cmd, server, link, address, log)
	if err == nil {
		run(local.Run)
		u.print(cmd.OutOrStdout(), service, address+link.path)
		running.Go(func() { u.sendOnceGranted(ctx, service, cmd.OutOrStdout()) })
	} else {
		stop(err)
	}
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return explainCollector(explainListen(cause))
	}
	return nil
}

// prepare sets up the running collector, and the agent.
func (u *up) prepare(ctx context.Context, cmd *cobra.Command, server *daemon.Daemon, link *signInLink, endpoint string,
	log *slog.Logger) (*rollcall.Service, *agent.Agent, error) {
	if err := link.enable(ctx, server.Tokens()); err != nil {
		return nil, nil, err
	}
	if _, ok := server.Collector().App(u.storage.app); !ok {
		if _, err := server.Collector().AddApp(ctx, collector.App{Key: u.storage.app}); err != nil {
			return nil, nil, err
		}
	}
	if u.demo {
		if err := addDemo(ctx, cmd.ErrOrStderr(), server.Collector()); err != nil {
			return nil, nil, err
		}
	}
	config, err := u.storage.rollcallConfig(cmd)
	if err != nil {
		return nil, nil, err
	}
	u.denial.apply(&config)
	config.Endpoint, config.Version = endpoint, cmp.Or(u.hostVersion, buildVersion().Version)
	config.Reporting.Development = true // the collector is the operator's own
	if err := u.facts.apply(cmd, &config); err != nil {
		return nil, nil, err
	}
	service, local, err := newAgentOf(cmd, config, log, agent.Options{Listen: u.listen, Host: u.facts.host})
	if err == nil {
		err = u.decide(ctx, cmd, service)
	}
	return service, local, err
}

// upQuestion is asked about a collector that is the operator's own.
const upQuestion = "May this installation send one small anonymous report a day to the collector of this command, on this machine? [y/N] "

// decide grants telemetry with --yes. Otherwise it asks, if somebody is
// there to ask and has not decided yet.
func (u *up) decide(ctx context.Context, cmd *cobra.Command, service *rollcall.Service) error {
	if u.yes {
		if err := service.SetConsent(ctx, true); err != nil {
			return withHint(err, doctorHint)
		}
		return nil
	}
	if _, err := service.AskConsent(ctx, rollcall.AskOptions{Question: upQuestion}); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: %v\n", err) // the same as no answer
	}
	return nil
}

func (u *up) print(out io.Writer, service *rollcall.Service, link string) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	page := u.pageLink(ctx, service)
	decision := service.Decisions(ctx).Telemetry
	_ = printPairs(out, "dashboard", link, "operator's page", page, "telemetry", describe(decision))
	if strings.Contains(page, operator.SignInPath) {
		fmt.Fprintf(out, "The link to the operator's page works once, within %d minutes. For another one:\n  rollcall page%s\n",
			operator.LinkTime/time.Minute, u.sameStorage()+u.sameAgent())
	}
	if decision.State != rollcall.Granted {
		fmt.Fprintf(out, "Nothing is sent until you grant telemetry: on the operator's page, or with\n  rollcall enable%s\n", u.sameConfig())
	}
}

// pageLink returns a link to the operator's page, which signs a browser in if
// there is a token.
func (u *up) pageLink(ctx context.Context, service *rollcall.Service) string {
	base := agentURL(u.listen)
	switch {
	case base == "":
		return "off (--listen off)"
	case strings.HasSuffix(base, ":0"):
		return "on the port in the log"
	case !strings.HasPrefix(base, "http"):
		return "needs a TCP address in --listen"
	}
	proof, err := service.CreateToken(ctx)
	if err != nil {
		return base + "/"
	}
	return base + operator.NewLink(proof.Token)
}

// sameConfig returns the flags for other verbs to use this config and these facts,
// and sameStorage those for a verb that knows no facts.
func (u *up) sameConfig() string {
	if u.facts.file != "" {
		return u.sameStorage() + " --facts " + u.facts.file
	}
	return u.sameStorage()
}

func (u *up) sameStorage() string {
	flags := ""
	switch {
	case u.storage.noConfig:
		flags = " --no-config --app " + u.storage.app
	case u.storage.config != defaultConfig:
		flags = " --config " + u.storage.config
	}
	if u.storage.stateDir != "" {
		flags += " --state-dir " + u.storage.stateDir
	}
	return flags
}

// sameAgent returns the flag for other verbs to ask this agent.
func (u *up) sameAgent() string {
	if url := agentURL(u.listen); url != urlOf(defaultListen) {
		return " --agent " + url
	}
	return ""
}

// sendOnceGranted sends the first heartbeat as soon as telemetry is
// granted. Agents wait a minute or two, so that not all of them send at
// once, but this collector has only one. SendNow refuses to send
// without a grant.
func (u *up) sendOnceGranted(ctx context.Context, service *rollcall.Service, out io.Writer) {
	ticker := time.NewTicker(consentInterval)
	defer ticker.Stop()
	for sends := 0; sends < maxFirstSends; {
		if service.Decisions(ctx).Telemetry.State == rollcall.Granted && service.WaitSettled(ctx) == nil {
			sends++
			err := service.SendNow(ctx)
			if err == nil {
				fmt.Fprintf(out, "This installation is now counted in the app %s.\n", u.storage.app)
				return
			}
			if sends == maxFirstSends {
				fmt.Fprintf(out, "This installation is not counted yet: %v\n", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

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
