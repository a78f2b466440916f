package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/spf13/cobra"
)

func newCollectorExport() *cobra.Command {
	var folder dataFolder
	var format string
	cmd := &cobra.Command{
		Use:   "export APP",
		Short: "Write the totals of an app, without its installations",
		Long: `Write the totals of an app to standard output. Nothing in them stands for an installation.

With --format jsonl it is all that is kept of closed days, as JSON lines, which "rollcall collector import" takes. With --format
csv it is a table of the figures day by day, the unfinished day included; an empty cell is a day on which the collector was
not running.`,
		Example: "  rollcall collector export myapp > totals.jsonl\n  rollcall collector export myapp --format csv > days.csv",
		Args:    oneArgument("the key of the app"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			if format == "csv" {
				err = exportCSV(cmd, client, args[0])
			} else {
				err = client.Export(cmd.Context(), args[0], cmd.OutOrStdout())
			}
			return explainCollector(err)
		},
	}
	folder.add(cmd)
	cmd.Flags().Var(choiceSetting(&format, "jsonl", "csv"), "format", "form of the output")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"jsonl", "csv"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// csvHead names the columns of the table.
const csvHead = "day,open,active_1d,active_7d,active_28d,active_30d,established_1d,established_7d,established_28d," +
	"established_30d,new,returning,lost,forgotten,in_memory,excluded"

// exportCSV writes days and numbers only, so nothing in it can be a formula or needs quotes.
func exportCSV(cmd *cobra.Command, client *control.Client, app string) error {
	series, err := client.Series(cmd.Context(), app)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(cmd.OutOrStdout())
	fmt.Fprintln(out, csvHead)
	for _, p := range series.Points {
		cells := []string{p.Day.String(), yesNo(p.Open)}
		for _, f := range []figures.Count{
			p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30,
			p.Established.Day, p.Established.Week, p.Established.Days28, p.Established.Days30,
			p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory, p.Excluded,
		} {
			cell := ""
			if f != nil && !p.Gap {
				cell = strconv.FormatUint(*f, 10)
			}
			cells = append(cells, cell)
		}
		fmt.Fprintln(out, strings.Join(cells, ","))
	}
	return out.Flush()
}

func newCollectorImport() *cobra.Command {
	var folder dataFolder
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import APP FILE",
		Short: "Put exported totals into an app that has counted nothing yet",
		Long: `Put totals that "rollcall collector export" wrote into an app that has counted nothing yet; FILE is - for standard input. All
days in it have to lie before the day on which the app was added. An import that fails leaves no trace in the figures.

No installation comes with totals: those that report from then on are new to this collector. To move a collector with its
installations, use backup and restore.`,
		Example: "  rollcall collector app add myapp\n  rollcall collector import myapp totals.jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return withHint(fmt.Errorf("got %d arguments, want the key of the app and a file", len(args)),
					"the form is: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in := cmd.InOrStdin()
			if args[1] != "-" {
				file, err := os.Open(args[1])
				if err != nil {
					return withHint(err, "give a file that rollcall collector export wrote, or - for standard input")
				}
				defer file.Close()
				in = file
			}
			client, err := folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			done, err := client.Import(cmd.Context(), args[0], in)
			if err != nil {
				return explainCollector(err)
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), done)
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d days from %s to %s\n", done.Days, done.From, done.To)
			return err
		},
	}
	folder.add(cmd)
	addJSON(cmd, &asJSON)
	return cmd
}
