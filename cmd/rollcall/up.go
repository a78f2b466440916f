package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/rollcall-dev/rollcall/metrics"
	"github.com/rollcall-dev/rollcall/page"
	"github.com/spf13/cobra"
)

const (
	// defaultUpApp is the app under which the installation of this machine is counted.
	defaultUpApp = "my-app"
	// upStopTimeout bounds the end of the collector.
	upStopTimeout = 5 * time.Second
	// upToken is the name of the token behind the sign-in link. It is made anew at each start, which ends what the last one
	// was good for.
	upToken = "rollcall up"
)

func newUp() *cobra.Command {
	u := &up{}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Run an agent and a collector together",
		Long: `Run an agent and a collector together, on this machine only and until a signal ends them, and see the whole of it at work: the
operator's page of the installation, and the dashboard of those who count. The agent keeps its ID in --config as always, the
collector its data in --data-dir.

Nothing is sent before the operator grants telemetry: on the operator's page, at the terminal when it asks, with "rollcall
enable", or with --yes. Then the installation is counted within seconds, in the app that --app names.

With --demo, a simulated fleet is counted beside it in an app of its own. A demo keeps its collector's data in a temporary
folder, and removes that at the end.

The sign-in link is printed once. It is good for as long as this runs, for whoever has it.`,
		Example: "  rollcall up --demo\n  rollcall up --app myapp --data-dir /srv/rollcall",
		Args:    noArguments,
		RunE:    u.run,
	}
	u.add(cmd)
	return cmd
}

type up struct {
	place           storage
	denial          denial
	folder          dataFolder
	logging         logging
	listen          string
	collectorListen string
	hostVersion     string
	demo            bool
	yes             bool
}

func (u *up) add(cmd *cobra.Command) {
	u.place.add(cmd)
	u.denial.add(cmd)
	u.folder.add(cmd)
	flags := cmd.Flags()
	addSetting(flags, textSetting(&u.hostVersion, "version", ""), "host-version", "the host's version; by default rollcall's own")
	addSetting(flags, textSetting(&u.listen, "address", defaultListen), "listen", "address of the agent's local server")
	addSettingFrom(flags, textSetting(&u.collectorListen, "address", defaultCollectorListen), "collector-listen",
		variable("collector-listen"), "address of the collector")
	flags.BoolVar(&u.demo, "demo", false, "count a simulated fleet as well, in a temporary data folder")
	flags.BoolVarP(&u.yes, "yes", "y", false, "grant telemetry: to this collector, which is your own")
	u.logging.add(cmd)
}

func (u *up) run(cmd *cobra.Command, _ []string) error {
	if u.demo && originOf(cmd.Flag("data-dir")) == byFlag {
		return withHint(errors.New("both --demo and --data-dir are given"), "a demo has a temporary data folder")
	}
	if err := u.folder.check(); err != nil {
		return err
	}
	u.place.app = cmp.Or(u.place.app, defaultUpApp)
	ctx, done := untilSignal(cmd.Context(), upStopTimeout+time.Second)
	defer done()
	dir := u.folder.dir
	if u.demo {
		temporary, err := os.MkdirTemp("", "rollcall-demo-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(temporary)
		dir = temporary
	}
	log := u.logging.logger(cmd.ErrOrStderr())
	link := newSignInLink()
	count, err := daemon.Open(ctx, daemon.Options{
		Dir: dir, Listen: u.collectorListen, StopTimeout: upStopTimeout, Version: buildVersion().Version,
		Logger: log, Wrap: link.wrap,
	})
	if err != nil {
		return explainUp(err)
	}
	return u.both(ctx, cmd, count, link, log)
}

// both runs the agent beside the collector, until ctx ends or one of them fails, which ends the other.
func (u *up) both(ctx context.Context, cmd *cobra.Command, count *daemon.Daemon, link *signInLink, log *slog.Logger) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	run := func(part func(context.Context) error) { running.Go(func() { stop(part(ctx)) }) }
	run(count.Run)
	address := "http://" + count.Addr().String()
	service, local, err := u.prepare(ctx, cmd, count, link, address, log)
	if err == nil {
		run(local.Run)
		u.print(cmd.OutOrStdout(), service, link.at(address))
		running.Go(func() { u.sendOnceGranted(ctx, service, cmd.OutOrStdout()) })
	} else {
		stop(err)
	}
	running.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return explainUp(cause)
	}
	return nil
}

// prepare does what comes before the agent runs, while the collector does.
func (u *up) prepare(ctx context.Context, cmd *cobra.Command, count *daemon.Daemon, link *signInLink, address string,
	log *slog.Logger) (*rollcall.Service, *agent.Agent, error) {
	if err := link.open(ctx, count.Tokens()); err != nil {
		return nil, nil, err
	}
	if err := u.addApps(ctx, cmd.ErrOrStderr(), count.Collector()); err != nil {
		return nil, nil, err
	}
	service, local, err := u.newAgent(cmd, address, log)
	if err == nil {
		err = u.decide(ctx, cmd, service)
	}
	return service, local, err
}

// addApps adds what is not there yet: the app of this installation, and with --demo the simulated fleet's.
func (u *up) addApps(ctx context.Context, out io.Writer, c *engine.Engine) error {
	if _, ok := c.App(u.place.app); !ok {
		if _, err := c.AddApp(ctx, collector.App{Key: u.place.app}); err != nil {
			return err
		}
	}
	if u.demo {
		return addDemo(ctx, out, c)
	}
	return nil
}

func (u *up) newAgent(cmd *cobra.Command, endpoint string, log *slog.Logger) (*rollcall.Service, *agent.Agent, error) {
	config, err := u.place.rollcallConfig(cmd)
	if err != nil {
		return nil, nil, err
	}
	registry := newRegistry()
	observer, err := metrics.New(registry)
	if err != nil {
		return nil, nil, err
	}
	persisted := make(chan struct{}, 1)
	u.denial.apply(&config)
	config.Endpoint, config.Version = endpoint, cmp.Or(u.hostVersion, buildVersion().Version)
	config.Reporting.Development = true // to one's own collector; that this is a development build is no reason against it
	config.Logger, config.Observer = log, persistedSignal{observer, persisted}
	service, err := rollcall.New(config)
	if err != nil {
		return nil, nil, inFlags(cmd, err)
	}
	local, err := agent.New(service, agent.Options{
		Listen:    listenAddress(u.listen),
		Version:   buildVersion().Version,
		Metrics:   registry,
		Page:      page.Handler(service, page.Options{Title: config.App, AnyHost: true}),
		Persisted: persisted,
		Logger:    log,
	})
	return service, local, explainListen(err)
}

// decide grants telemetry when that was asked for, and else asks, if there is somebody to ask and nothing is decided.
func (u *up) decide(ctx context.Context, cmd *cobra.Command, service *rollcall.Service) error {
	if u.yes {
		if err := service.SetConsent(ctx, true); err != nil {
			return withHint(err, "rollcall doctor looks for the cause")
		}
		return nil
	}
	if _, err := service.AskConsent(ctx, rollcall.AskOptions{}); err != nil {
		fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: %v\n", err) // as good as no answer
	}
	return nil
}

func (u *up) print(out io.Writer, service *rollcall.Service, link string) {
	operator := "off (--listen off)"
	if address := listenAddress(u.listen); strings.HasSuffix(address, ":0") {
		operator = "at the port in the log"
	} else if address != "" {
		operator = "http://" + address + "/"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	defer cancel()
	_ = printPairs(out,
		"dashboard", link,
		"operator's page", operator,
		"telemetry", words(service.Decisions(ctx).Telemetry),
	)
	if service.Decisions(ctx).Telemetry.State != rollcall.Granted {
		fmt.Fprintf(out, "Nothing is sent before telemetry is granted: on the operator's page, or with\n  rollcall enable%s\n", u.flags())
	}
}

// flags are those with which another verb finds the same config.
func (u *up) flags() string {
	if u.place.noConfig {
		return " --no-config --app " + u.place.app
	}
	if u.place.config != defaultConfig {
		return " --config " + u.place.config
	}
	return ""
}

const (
	// lookAtConsent is how often the consent is looked at.
	lookAtConsent = time.Second
	// firstSends bounds how often the first heartbeat is tried at once; further ones come as they do in any agent.
	firstSends = 10
)

// sendOnceGranted waits until telemetry is granted and sends the first heartbeat then, rather than in a minute or two, as
// agents do so that not all of them send at once. This collector has one. Without a grant nothing is sent: SendNow sees
// to that too.
func (u *up) sendOnceGranted(ctx context.Context, service *rollcall.Service, out io.Writer) {
	ticker := time.NewTicker(lookAtConsent)
	defer ticker.Stop()
	for tries := 0; tries < firstSends; {
		if service.Decisions(ctx).Telemetry.State == rollcall.Granted && service.WaitSettled(ctx) == nil {
			tries++
			err := service.SendNow(ctx)
			if err == nil {
				fmt.Fprintf(out, "This installation is counted, in the app %s.\n", u.place.app)
				return
			}
			if tries == firstSends {
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

// explainUp is explainCollector, for flags that have other names here.
func explainUp(err error) error {
	switch {
	case errors.Is(err, daemon.ErrListen):
		return withHint(err, "another program may listen there; choose another address with --collector-listen")
	case errors.Is(err, listen.ErrAddress):
		return explainListen(err)
	}
	return explainCollector(err)
}

// A signInLink signs a browser in, by a path that nobody can guess.
type signInLink struct {
	path   string
	opened chan struct{}
	keeper *access.Tokens
	token  string
}

func newSignInLink() *signInLink {
	return &signInLink{path: "/up/" + rand.Text(), opened: make(chan struct{})}
}

// open makes the token behind the link.
func (l *signInLink) open(ctx context.Context, keeper *access.Tokens) (err error) {
	if err := keeper.Revoke(ctx, upToken); err != nil && !errors.Is(err, access.ErrNoToken) {
		return err
	}
	l.keeper = keeper
	if l.token, err = keeper.Add(ctx, upToken, access.Admin, ""); err == nil {
		close(l.opened)
	}
	return err
}

// at gives the link for a server.
func (l *signInLink) at(server string) string { return server + l.path }

// wrap answers at the link, and leaves all else to the server.
func (l *signInLink) wrap(server http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.URL.Path), []byte(l.path)) != 1 || r.Method != http.MethodGet {
			server.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("Referrer-Policy", "no-referrer")
		select {
		case <-l.opened:
		case <-r.Context().Done():
			return
		}
		if err := l.keeper.SignIn(w, r, l.token); err != nil {
			http.Error(w, "Signing in failed: "+err.Error(), http.StatusServiceUnavailable)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
}
