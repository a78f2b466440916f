package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/spf13/cobra"
)

func newCollectorApp() *cobra.Command {
	return group(&cobra.Command{
		Use:   "app",
		Short: "Add, list, change and end the apps that are counted",
		Long: `Add, list, change and end the apps that are counted. A heartbeat names its app by the app's key; one of an app that is not
known is refused.`,
	}, newAppAdd(), newAppList(), newAppSet(), newAppRemove())
}

// appSettings are the flags that say how an app is counted.
type appSettings struct {
	folder dataFolder
	asJSON bool
	want   collector.App
}

func (a *appSettings) add(cmd *cobra.Command) {
	a.folder.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&a.want.Name, "name", "", "the name that people read; by default the key")
	flags.BoolVar(&a.want.Public, "public", false, "let everyone read the figures, those of small groups excepted")
	flags.IntVar(&a.want.K, "k", 0, fmt.Sprintf("size of the smallest group that the public sees (0 is %d)", collector.DefaultK))
	flags.IntVar(&a.want.Retention, "retention", 0,
		fmt.Sprintf("days without a sign after which an installation is purged (0 is %d)", collector.DefaultRetention))
	flags.BoolVar(&a.want.ExcludeDevelopment, "exclude-development", false, "count development versions apart")
	flags.IntVar(&a.want.MaxNewPerDay, "max-new-per-day", 0,
		fmt.Sprintf("how many installations may be new on one day (0 is %d)", collector.DefaultMaxNewPerDay))
	flags.BoolVar(&a.want.Legacy, "legacy", false, "take reports of the YA-WAMF wire format, which name no app, as this app's")
	addJSON(cmd, &a.asJSON)
}

// apply changes of an app what flags were given for.
func (a *appSettings) apply(cmd *cobra.Command, app *collector.App) {
	for flag, set := range map[string]func(){
		"name":                func() { app.Name = a.want.Name },
		"public":              func() { app.Public = a.want.Public },
		"k":                   func() { app.K = a.want.K },
		"retention":           func() { app.Retention = a.want.Retention },
		"exclude-development": func() { app.ExcludeDevelopment = a.want.ExcludeDevelopment },
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
	a := &appSettings{}
	cmd := &cobra.Command{
		Use:   "add KEY",
		Short: "Add an app",
		Long: `Add an app. KEY is what heartbeats name it by, the --app of agents: 1 to 64 of a-z, 0-9 and '-'. It cannot be changed. If the
collector has no data folder yet, it is made.`,
		Example: "  rollcall collector app add myapp --name 'My App'",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			app := collector.App{Key: args[0]}
			a.apply(cmd, &app)
			if err := app.Validate(); err != nil {
				return err
			}
			client, err := a.folder.make(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			if app, err = client.AddApp(cmd.Context(), app); err != nil {
				return explainCollector(err)
			}
			return printApp(cmd, app, a.asJSON)
		},
	}
	a.add(cmd)
	return cmd
}

func newAppSet() *cobra.Command {
	a := &appSettings{}
	cmd := &cobra.Command{
		Use:   "set KEY",
		Short: "Change how an app is counted",
		Long: `Change how an app is counted: what a flag is given for. With --gone, nothing more is wanted from its installations: they are
told so, and stop for good. --gone=false takes it back for those that have not reported meanwhile.`,
		Example: "  rollcall collector app set myapp --public --k 20\n  rollcall collector app set myapp --retention 90",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.change(cmd, args[0], func(app *collector.App) { a.apply(cmd, app) })
		},
	}
	a.add(cmd)
	cmd.Flags().BoolVar(&a.want.Gone, "gone", false, "tell its installations to stop for good")
	return cmd
}

func newAppRemove() *cobra.Command {
	a := &appSettings{}
	var yes bool
	cmd := &cobra.Command{
		Use:   "remove KEY",
		Short: "Tell the installations of an app to stop for good",
		Long: `Tell the installations of an app to stop for good: each gets the status 410 with its next report and sends nothing more. The
figures stay, and what is held of the installations is purged after the app's retention.`,
		Example: "  rollcall collector app remove myapp",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				question := fmt.Sprintf("Tell all installations of %s to stop for good?", args[0])
				if err := confirm(cmd, question); err != nil {
					return err
				}
			}
			return a.change(cmd, args[0], func(app *collector.App) { app.Gone = true })
		},
	}
	a.folder.add(cmd)
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	addJSON(cmd, &a.asJSON)
	return cmd
}

// change reads an app, lets it be changed, and writes it.
func (a *appSettings) change(cmd *cobra.Command, key string, change func(*collector.App)) error {
	client, err := a.folder.connect(cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	app, err := client.App(cmd.Context(), key)
	if err != nil {
		return explainCollector(err)
	}
	change(&app)
	if err := client.UpdateApp(cmd.Context(), app); err != nil {
		return explainCollector(err)
	}
	return printApp(cmd, app, a.asJSON)
}

func newAppList() *cobra.Command {
	a := &appSettings{}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the apps",
		Example: "  rollcall collector app list --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := a.folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			apps, err := client.Apps(cmd.Context())
			if err != nil {
				return explainCollector(err)
			}
			if a.asJSON {
				return printJSON(cmd.OutOrStdout(), append([]collector.App{}, apps...)) // never null
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "KEY\tNAME\tSINCE\tPUBLIC\tLEGACY\tGONE")
			for _, app := range apps {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n",
					app.Key, app.Name, app.Created, yesNo(app.Public), yesNo(app.Legacy), yesNo(app.Gone))
			}
			return table.Flush()
		},
	}
	a.folder.add(cmd)
	addJSON(cmd, &a.asJSON)
	return cmd
}

func printApp(cmd *cobra.Command, app collector.App, asJSON bool) error {
	if asJSON {
		return printJSON(cmd.OutOrStdout(), app)
	}
	or := func(n, fallback int) string {
		if n == 0 {
			return strconv.Itoa(fallback) + " (default)"
		}
		return strconv.Itoa(n)
	}
	return printPairs(cmd.OutOrStdout(),
		"key", app.Key,
		"name", app.Name,
		"since", app.Created.String(),
		"public", yesNo(app.Public),
		"smallest public group", or(app.K, collector.DefaultK),
		"retention in days", or(app.Retention, collector.DefaultRetention),
		"new installations a day", or(app.MaxNewPerDay, collector.DefaultMaxNewPerDay),
		"development versions", map[bool]string{true: "counted apart", false: "counted"}[app.ExcludeDevelopment],
		"legacy reports", yesNo(app.Legacy),
		"gone", yesNo(app.Gone),
	)
}

// oneArgument wants exactly one argument, and says what it is when it is missing.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return withHint(fmt.Errorf("%s is missing", what), "the form is: %s", cmd.UseLine())
		case 1:
			return nil
		}
		return withHint(fmt.Errorf("unexpected argument %q", args[1]), "the form is: %s", cmd.UseLine())
	}
}
