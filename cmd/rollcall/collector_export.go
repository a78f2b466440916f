package main

import (
	"bytes"
	"fmt"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
	"github.com/spf13/cobra"
)

func newCollectorExport() *cobra.Command {
	var format string
	cmd := clientVerb(&cobra.Command{
		Use:   "export APP",
		Short: "Write the totals of an app, without its installations",
		Long: `Write the totals of an app to standard output. They identify no installation.

--format jsonl writes all that is kept of finished days, as JSON lines that
"rollcall collector import" reads. --format csv writes a table of the figures by
day, including the current one. The figures of days on which the collector did
not run are empty.`,
		Example: "  rollcall collector export myapp > totals.jsonl\n  rollcall collector export myapp --format csv > days.csv",
		Args:    oneArgument("the key of the app"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		if format == "csv" {
			return exportCSV(cmd, client, args[0])
		}
		return client.Export(cmd.Context(), args[0], cmd.OutOrStdout())
	})
	cmd.Flags().Var(choiceValue(&format, "jsonl", "csv"), "format", "format of the output")
	completeWords(cmd, "format")
	return cmd
}

func exportCSV(cmd *cobra.Command, client *control.Client, app string) error {
	series, err := client.Series(cmd.Context(), app)
	if err != nil {
		return err
	}
	days := table.New("day", "open", "active_1d", "active_7d", "active_28d", "active_30d", "established_1d",
		"established_7d", "established_28d", "established_30d", "new", "returning", "lost", "forgotten", "in_memory", "excluded")
	for _, p := range series.Points {
		if p.Gap {
			p = figures.SeriesPoint{Day: p.Day, Open: p.Open}
		}
		days.Add(p.Day, yesNo(p.Open), p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30, p.Established.Day,
			p.Established.Week, p.Established.Days28, p.Established.Days30, p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory, p.Excluded)
	}
	_, err = cmd.OutOrStdout().Write(bytes.ReplaceAll(days.CSV(), []byte("\r\n"), []byte("\n"))) // for other commands
	return err
}

func newCollectorImport() *cobra.Command {
	var data dataDirFlag
	var out output
	return with(&cobra.Command{
		Use:   "import APP FILE",
		Short: "Import exported totals into a new app",
		Long: `Import totals that "rollcall collector export" wrote into an app that has
counted nothing yet. FILE may be - for standard input. All its days have to be
before the day on which the app was added. An import that fails leaves no trace
in the figures.

Totals contain no installations, so those that report from then on count as new.
Use backup and restore to move a collector with its installations.`,
		Example: "  rollcall collector app add myapp\n  rollcall collector import myapp totals.jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return withHint(fmt.Errorf("got %d arguments, want the key of the app and a file", len(args)),
					"the usage is: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := openInput(cmd, args[1], "rollcall collector export")
			if err != nil {
				return err
			}
			defer in.Close()
			return data.do(cmd, datadir.Options{}, func(client *control.Client) error {
				done, err := client.Import(cmd.Context(), args[0], in)
				if err != nil {
					return err
				}
				return out.printf(cmd, done, "Imported %d days from %s to %s\n", done.Days, done.From, done.To)
			})
		},
	}, &data, &out)
}
