package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/audit"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/spf13/cobra"
)

func newCollectorAudit() *cobra.Command {
	var out output
	var app string
	cmd := clientVerb(with(&cobra.Command{
		Use:   "audit",
		Short: "Show who did what to the collector",
		Long: `Show the audit log, newest first: sign-ins, refused tokens, changes, deletions,
exports, and floods. It has no addresses and no installation IDs. The collector
keeps the latest 10,000 entries; "serve --audit-log" also writes them to a file.`,
		Example: "  rollcall collector audit\n  rollcall collector audit --app myapp --json",
		Args:    noArguments,
	}, &out), func(cmd *cobra.Command, _ []string, client *control.Client) error {
		entries, err := client.Audit(cmd.Context(), app)
		if err != nil {
			return err
		}
		return out.print(cmd, append([]audit.Entry{}, entries...), func(w io.Writer) error { // never null
			table := newTable(w)
			fmt.Fprintln(table, "TIME\tWHO\tACTION\tAPP\tDETAIL")
			for _, e := range entries {
				detail := e.Detail
				if e.Count > 0 {
					detail = fmt.Sprintf("%s (%d more)", detail, e.Count)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", e.Time.Format("2006-01-02 15:04:05"), e.Actor, e.Action, cmp.Or(e.App, "all"), detail)
			}
			return table.Flush()
		})
	})
	cmd.Flags().StringVar(&app, "app", "", "only entries about the app with this key")
	return cmd
}
