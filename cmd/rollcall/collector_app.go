package main

import (
	"cmp"
	"fmt"
	"io"
	"strconv"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

func newCollectorApp() *cobra.Command {
	return group(&cobra.Command{
		Use:   "app",
		Short: "Add, list, change and end the counted apps",
		Long: `Add, list, change and end the apps that the collector counts. A heartbeat names
its app by the app's key. Heartbeats of unknown apps are refused.`,
	}, newAppAdd(), newAppList(), newAppSet(), newAppDeclare(), newAppClear(), newAppRemove(),
		newAppRefuseID(), newAppAllowID(), newAppRefusedIDs())
}

type appFlags struct {
	out  output
	want collector.App
}

func (a *appFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&a.want.Name, "name", "", "display name; the key by default")
	flags.BoolVar(&a.want.Public, "public", false, "publish the figures, with small groups hidden")
	flags.BoolVar(&a.want.PublicPairs, "public-pairs", false,
		"publish the table of two dimensions too: whoever knows one value of an installation can find out others")
	flags.IntVar(&a.want.K, "k", 0, fmt.Sprintf("smallest group that the public sees (0 is %d); below %d is not anonymous",
		collector.DefaultK, collector.AnonymousK))
	flags.IntVar(&a.want.Retention, "retention", 0,
		fmt.Sprintf("days after which an inactive installation is deleted (0 is %d)", collector.DefaultRetention))
	flags.BoolVar(&a.want.ExcludeDevelopment, "exclude-development", false, "count development versions separately")
	flags.StringVar((*string)(&a.want.VersionOrder), "version-order", "",
		fmt.Sprintf("which of two versions is newer: one of %v (empty is %s)", report.VersionOrders(), report.NaturalOrder))
	flags.IntVar(&a.want.MaxNewPerDay, "max-new-per-day", 0,
		fmt.Sprintf("maximum of new installations per day (0 is %d)", collector.DefaultMaxNewPerDay))
	flags.BoolVar(&a.want.Legacy, "legacy", false, "count reports in the YA-WAMF format, which name no app, as this app's")
	a.out.add(cmd)
}

// apply changes what the command line has flags for.
func (a *appFlags) apply(cmd *cobra.Command, app *collector.App) {
	for flag, set := range map[string]func(){
		"name":                func() { app.Name = a.want.Name },
		"public":              func() { app.Public = a.want.Public },
		"public-pairs":        func() { app.PublicPairs = a.want.PublicPairs },
		"k":                   func() { app.K = a.want.K },
		"retention":           func() { app.Retention = a.want.Retention },
		"exclude-development": func() { app.ExcludeDevelopment = a.want.ExcludeDevelopment },
		"version-order":       func() { app.VersionOrder = a.want.VersionOrder },
		"max-new-per-day":     func() { app.MaxNewPerDay = a.want.MaxNewPerDay },
		"legacy":              func() { app.Legacy = a.want.Legacy },
		"gone":                func() { app.Gone = a.want.Gone },
	} {
		if cmd.Flags().Changed(flag) {
			set()
		}
	}
}

func newAppAdd() *cobra.Command {
	var a appFlags
	var data dataDirFlag
	return with(&cobra.Command{
		Use:   "add KEY",
		Short: "Add an app",
		Long: `Add an app. KEY is the name that heartbeats use, the --app of agents: 1 to 64 of
a-z, 0-9 and '-'. It cannot be changed later. If the collector has no data
directory yet, it is created.`,
		Example: "  rollcall collector app add myapp --name 'My App'",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			app := collector.App{Key: args[0]}
			a.apply(cmd, &app)
			if err := app.Validate(); err != nil {
				return err
			}
			// A key without a file belongs to a PostgreSQL database; do not create a second one.
			create := data.store != "" || !datadir.HasOnlyKey(data.path)
			return data.do(cmd, datadir.Options{Create: create}, func(client *control.Client) (err error) {
				if app, err = client.AddApp(cmd.Context(), app); err != nil {
					return err
				}
				return a.print(cmd, app)
			})
		},
	}, &a, &data)
}

func newAppSet() *cobra.Command {
	var a appFlags
	cmd := clientVerb(with(&cobra.Command{
		Use:   "set KEY",
		Short: "Change how an app is counted",
		Long: `Change how an app is counted. Only what has a flag changes. --gone tells the
app's installations to stop reporting for good. --gone=false takes that back for
those that have not reported in the meantime.`,
		Example: "  rollcall collector app set myapp --public --k 20\n  rollcall collector app set myapp --retention 90",
		Args:    oneArgument("the key of the app"),
	}, &a), func(cmd *cobra.Command, args []string, client *control.Client) error {
		return a.change(cmd, client, args[0], func(app *collector.App) { a.apply(cmd, app) })
	})
	cmd.Flags().BoolVar(&a.want.Gone, "gone", false, "tell its installations to stop for good")
	return cmd
}

func newAppRemove() *cobra.Command {
	var a appFlags
	var yes yesFlag
	var data dataDirFlag
	return with(&cobra.Command{
		Use:   "remove KEY",
		Short: "Tell the installations of an app to stop for good",
		Long: `Tell the installations of an app to stop for good. Each gets status 410 for its
next report and sends nothing more. The figures are kept. The data of the
installations is deleted after the app's retention.`,
		Example: "  rollcall collector app remove myapp",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			question := fmt.Sprintf("Tell all installations of %s to stop for good?", args[0])
			if err := yes.confirm(cmd, question); err != nil {
				return err
			}
			return data.do(cmd, datadir.Options{}, func(client *control.Client) error {
				return a.change(cmd, client, args[0], func(app *collector.App) { app.Gone = true })
			})
		},
	}, &yes, &data, &a.out)
}

func (a *appFlags) change(cmd *cobra.Command, client *control.Client, key string, change func(*collector.App)) error {
	app, err := client.ChangeApp(cmd.Context(), key, change)
	if err != nil {
		return err
	}
	return a.print(cmd, app)
}

func newAppList() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:     "list",
		Short:   "List the apps",
		Example: "  rollcall collector app list --json",
		Args:    noArguments,
	}, &out), func(cmd *cobra.Command, _ []string, client *control.Client) error {
		apps, err := client.Apps(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd, append([]collector.App{}, apps...), func(w io.Writer) error { // never null
			table := newTable(w)
			fmt.Fprintln(table, "KEY\tNAME\tSINCE\tPUBLIC\tLEGACY\tGONE")
			for _, app := range apps {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
					app.Key, app.Name, app.Created, yesNo(app.Public), yesNo(app.Legacy), yesNo(app.Gone))
			}
			return table.Flush()
		})
	})
}

// notAnonymous warns of a k that is too small.
func notAnonymous(k int) string {
	if k != 0 && k < collector.AnonymousK {
		return " (not anonymous)"
	}
	return ""
}

func (a *appFlags) print(cmd *cobra.Command, app collector.App) error {
	or := func(n, fallback int) string {
		if n == 0 {
			return strconv.Itoa(fallback) + " (default)"
		}
		return strconv.Itoa(n)
	}
	return a.out.print(cmd, app, func(w io.Writer) error {
		return printPairs(w,
			"key", app.Key,
			"name", app.Name,
			"since", app.Created.String(),
			"public", yesNo(app.Public),
			"public table of two dimensions", yesNo(app.PublicPairs),
			"smallest public group", or(app.K, collector.DefaultK)+notAnonymous(app.K),
			"retention (days)", or(app.Retention, collector.DefaultRetention),
			"max. new per day", or(app.MaxNewPerDay, collector.DefaultMaxNewPerDay),
			"development versions", map[bool]string{true: "counted separately", false: "counted"}[app.ExcludeDevelopment],
			"version order", string(cmp.Or(app.VersionOrder, report.NaturalOrder)),
			"legacy reports", yesNo(app.Legacy),
			"gone", yesNo(app.Gone),
		)
	})
}
