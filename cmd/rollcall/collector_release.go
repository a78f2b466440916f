package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/release"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

func newCollectorRelease() *cobra.Command {
	return group(&cobra.Command{
		Use:   "release",
		Short: "Publish which version of an app is current",
		Long: `Publish which version of an app is current, by channel: "stable", and others such
as the branches that you build. Installations that ask learn it and say nothing
about themselves.`,
	}, newReleaseSet(), newReleaseList(), newReleaseRemove())
}

func newReleaseSet() *cobra.Command {
	var published release.Release
	var date string
	severity := "none"
	cmd := clientVerb(&cobra.Command{
		Use:   "set APP CHANNEL VERSION",
		Short: "Make a version the current one of a channel",
		Long: `Make a version the current one of a channel. If the channel has the version with
the same commit, only its details change, and the current version stays. A
version of the channel "stable" is also declared as a release, so that the figures
of versions begin on its date.`,
		Example: "  rollcall collector release set myapp stable 2.1.0 --url https://example.com/releases/2.1.0\n" +
			"  rollcall collector release set myapp dev 2.2.0-dev --commit 0123abc",
		Args: func(cmd *cobra.Command, args []string) error { return releaseArgs(cmd, args, 3, 3) },
	}, func(cmd *cobra.Command, args []string, client *control.Client) (err error) {
		published.Version = report.NormalizeVersion(args[2])
		if severity != "none" {
			published.Severity = release.Severity(severity)
		}
		if date != "" {
			if published.Date, err = collector.ParseDay(date); err != nil {
				return err
			}
		}
		if err := published.Validate(args[1]); err != nil {
			return err
		}
		return client.SetRelease(cmd.Context(), args[0], args[1], published)
	})
	flags := cmd.Flags()
	flags.StringVar(&published.Commit, "commit", "", "hash of the commit, 7 to 64 hexadecimal digits")
	flags.StringVar(&published.URL, "url", "", "https address at which people read about the release")
	flags.StringVar(&date, "date", "", "`DAY` it came out, such as 2026-05-06; the default is today")
	flags.Var(choiceValue(&severity, "none", "recommended", "security"), "severity", "how much earlier versions need it")
	completeWords(cmd, "severity")
	return cmd
}

// A releaseLine is a release in the list.
type releaseLine struct {
	Channel string `json:"channel"`
	Current bool   `json:"current"`
	release.Release
}

func newReleaseList() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:     "list APP",
		Short:   "List the releases of an app, the current one of each channel first",
		Example: "  rollcall collector release list myapp",
		Args:    oneArgument("the key of the app"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		channels, err := client.Releases(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		lines := []releaseLine{} // never null
		for _, channel := range channels.Names() {
			for i, r := range slices.Backward(channels[channel]) {
				lines = append(lines, releaseLine{channel, i == len(channels[channel])-1, r})
			}
		}
		return out.print(cmd, lines, func(w io.Writer) error {
			table := newTable(w)
			fmt.Fprintln(table, "CHANNEL\tVERSION\tCURRENT\tDATE\tSEVERITY\tCOMMIT\tURL")
			for _, l := range lines {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Channel, l.Version, yesNo(l.Current), l.Date,
					cmp.Or(l.Severity, "none"), cmp.Or(l.Commit, "-"), cmp.Or(l.URL, "-"))
			}
			return table.Flush()
		})
	})
}

func newReleaseRemove() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:   "remove APP CHANNEL [VERSION]",
		Short: "Remove a release of a channel, or the whole channel",
		Example: "  rollcall collector release remove myapp stable 2.1.0\n" +
			"  rollcall collector release remove myapp feature-x",
		Args: func(cmd *cobra.Command, args []string) error { return releaseArgs(cmd, args, 2, 3) },
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		version := ""
		if len(args) > 2 {
			if version = report.NormalizeVersion(args[2]); version == "" {
				return fmt.Errorf("%q is not a version", args[2])
			}
		}
		err := client.RemoveRelease(cmd.Context(), args[0], args[1], version)
		if errors.Is(err, release.ErrNone) {
			return withHint(err, "rollcall collector release list shows them")
		}
		return err
	})
}

func releaseArgs(cmd *cobra.Command, args []string, least, most int) error {
	if len(args) < least || len(args) > most {
		return withHint(fmt.Errorf("got %d arguments, want the key of the app, a channel, and a version", len(args)),
			"the usage is: %s", cmd.UseLine())
	}
	return nil
}
