package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

func newAppRefuseID() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:   "refuse-id KEY ID",
		Short: "Refuse the reports of an installation ID",
		Long: `Refuse the reports of an installation ID from now on, and delete what is held about
it. This is for an ID that many installations share, because it is part of an image
or of a template: the collector counts them as one. Data quality shows how many such
IDs there probably are. Which one it is, you see in the image.`,
		Example: "  rollcall collector app refuse-id myapp 8f14e45f-ceea-467f-9575-5a2b5d1f3c11",
		Args:    appAndID,
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		id, err := parseID(args[1])
		if err != nil {
			return err
		}
		return client.RefuseID(cmd.Context(), args[0], id.String())
	})
}

func newAppAllowID() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:     "allow-id KEY ID",
		Short:   "Accept the reports of a refused installation ID again",
		Example: "  rollcall collector app allow-id myapp 8f14e45f-ceea-467f-9575-5a2b5d1f3c11",
		Args:    appAndID,
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		id, err := parseID(args[1])
		if err != nil {
			return err
		}
		err = client.AllowID(cmd.Context(), args[0], id.String())
		if errors.Is(err, collector.ErrNotRefused) {
			return withHint(err, "rollcall collector app refused-ids lists the refused ones")
		}
		return err
	})
}

func newAppRefusedIDs() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:     "refused-ids KEY",
		Short:   "List the refused installation IDs, by their first characters",
		Example: "  rollcall collector app refused-ids myapp",
		Args:    oneArgument("the key of the app"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		refused, err := client.RefusedIDs(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return out.print(cmd, refused, func(w io.Writer) error {
			table := newTable(w)
			fmt.Fprintln(table, "ID\tSINCE")
			for _, r := range refused {
				fmt.Fprintf(table, "%s...\t%s\n", r.ID, r.Since)
			}
			return table.Flush()
		})
	})
}

func appAndID(cmd *cobra.Command, args []string) error {
	if len(args) != 2 {
		return withHint(fmt.Errorf("got %d arguments, want the key of the app and an installation ID", len(args)),
			"the usage is: %s", cmd.UseLine())
	}
	return nil
}

func parseID(text string) (installid.ID, error) {
	id, err := installid.Parse(text)
	if err != nil {
		return id, withHint(err, "an installation ID looks like 8f14e45f-ceea-467f-9575-5a2b5d1f3c11")
	}
	return id, nil
}
