package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

type declareFlags struct {
	file       string
	releases   []string
	noFacts    bool
	noReleases bool
	out        output
}

func (d *declareFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&d.file, "facts", "", "`FILE` with the facts, and perhaps releases, to declare in place of those declared before; - for standard input")
	flags.StringSliceVar(&d.releases, "releases", nil, "versions to declare too, separated by commas; VERSION=DAY sets the day it came out")
	flags.BoolVar(&d.noFacts, "no-facts", false, "declare no facts any more")
	flags.BoolVar(&d.noReleases, "no-releases", false, "declare no releases any more, except those of --facts and --releases")
	exclusive(cmd, "facts", "no-facts")
	d.out.add(cmd)
}

func newAppDeclare() *cobra.Command {
	var d declareFlags
	return clientVerb(with(&cobra.Command{
		Use:   "declare KEY",
		Short: "Declare the facts and releases of an app",
		Long: `Declare the facts and releases of an app, and print what is declared. Declared
names and values always have their place among the figures, whatever strangers
report, and the public sees them at once. Others have to be reported by
installations seen on two days.

--facts takes a file in the form that the host's library writes
(rollcall.Config.Declaration as JSON):

  {"facts": [
    {"name": "tls", "reason": "why it is sent", "type": "bool"},
    {"name": "store.kind", "reason": "...", "type": "enum", "values": ["sqlite", "postgres"]},
    {"name": "users", "reason": "...", "type": "buckets", "bounds": [1, 10, 100]}
  ]}

It may have releases too: "releases": [{"version": "2.0.0", "released": "2026-05-06"}].

Of the releases, the last ` + strconv.Itoa(collector.MaxDeclaredReleases) + ` stay declared.`,
		Example: "  rollcall collector app declare myapp --facts facts.json\n  rollcall collector app declare myapp --releases 2.0.0,1.9.4=2026-05-06",
		Args:    oneArgument("the key of the app"),
	}, &d), func(cmd *cobra.Command, args []string, client *control.Client) error {
		var read collector.Declarations
		if d.file != "" {
			var err error
			if read, err = d.read(cmd); err != nil {
				return err
			}
		}
		declared, err := client.ChangeDeclared(cmd.Context(), args[0], func(declared *collector.Declarations) (bool, error) {
			return d.change(read, declared)
		})
		if err != nil {
			return err
		}
		return d.print(cmd, declared)
	})
}

// change applies the flags and the declarations read from --facts. It reports
// whether there were any.
func (d *declareFlags) change(read collector.Declarations, declared *collector.Declarations) (changed bool, err error) {
	if d.noFacts {
		declared.Facts, changed = nil, true
	}
	if d.noReleases {
		declared.Releases, changed = nil, true
	}
	if d.file != "" {
		declared.Facts, changed = read.Facts, true
		if read.Releases != nil {
			declared.Releases = read.Releases
		}
	}
	for _, text := range d.releases {
		release, err := parseRelease(text)
		if err != nil {
			return false, err
		}
		declared.AddRelease(release)
		changed = true
	}
	return changed, declared.Validate()
}

func (d *declareFlags) read(cmd *cobra.Command) (declared collector.Declarations, err error) {
	data, err := readDeclaration(cmd, d.file)
	if err != nil {
		return declared, err
	}
	return declared, json.Unmarshal(data, &declared)
}

// parseRelease parses VERSION or VERSION=DAY.
func parseRelease(text string) (release collector.DeclaredRelease, err error) {
	version, day, dated := strings.Cut(text, "=")
	release.Version = report.NormalizeVersion(version)
	if dated {
		release.Released, err = collector.ParseDay(day)
	}
	return release, err
}

func (d *declareFlags) print(cmd *cobra.Command, declared collector.Declarations) error {
	return d.out.print(cmd, declared, func(w io.Writer) error {
		table := newTable(w)
		fmt.Fprintln(table, "DECLARED\tNAME\tVALUES OR DAY")
		for _, fact := range declared.Facts.Facts() {
			fmt.Fprintf(table, "fact\t%s\t%s\n", fact.Name, strings.Join(fact.Values(), " "))
		}
		for _, release := range declared.Releases {
			day := "-"
			if release.Released != 0 {
				day = release.Released.String()
			}
			fmt.Fprintf(table, "release\t%s\t%s\n", release.Version, day)
		}
		return table.Flush()
	})
}

func newAppClear() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:   "clear KEY",
		Short: "Free the places of names and values that strangers invented",
		Long: `Print what was turned away from the tables of an app's names and values, and
empty that list. Free the places of names, values and faults that no
installation seen on two days has and that are not declared. Where such a value
is reported again it returns, if there is a place.`,
		Example: "  rollcall collector app clear myapp",
		Args:    oneArgument("the key of the app"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		cleared, err := client.Clear(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return out.print(cmd, cleared, func(w io.Writer) error {
			if _, err := fmt.Fprintf(w, "Freed %d places.\n", cleared.Freed); err != nil || len(cleared.TurnedAway.Tables) == 0 {
				return err
			}
			fmt.Fprintf(w, "Turned away since %s:\n", cleared.TurnedAway.Since)
			table := newTable(w)
			fmt.Fprintln(table, "TABLE\tTIMES\tEXAMPLES")
			for _, t := range cleared.TurnedAway.Tables {
				var examples []string
				for _, example := range t.Examples {
					examples = append(examples, strconv.QuoteToASCII(example))
				}
				fmt.Fprintf(table, "%s\t%d\t%s\n", strings.Trim(strconv.QuoteToASCII(t.Table), `"`), t.Count, strings.Join(examples, " "))
			}
			return table.Flush()
		})
	})
}
