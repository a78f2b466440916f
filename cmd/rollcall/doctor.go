package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rollcall-dev/rollcall/internal/diagnose"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var place storage
	var limit time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check whether an installation ID can be kept here",
		Long: `Check what keeping an installation ID needs: the config and its syntax, its folder, how they are mounted, and whether
locks and links work there. Each finding comes with a hint on what to do.

The config and the ID are not changed. The exit code is 0 when all is well, also with warnings, and 2 with a problem.`,
		Example: "  rollcall doctor\n  rollcall doctor --config /srv/app/config.json --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := place.rollcallConfig(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), limit)
			defer cancel()
			findings, err := config.Diagnose(ctx)
			switch {
			case ctx.Err() != nil && err != nil:
				findings = []diagnose.Finding{silentDisk(err)}
			case err != nil:
				return inFlags(cmd, err)
			}
			return printDiagnosis(cmd.OutOrStdout(), findings, asJSON)
		},
	}
	place.add(cmd)
	addTimeout(cmd, &limit, 10*time.Second)
	addJSON(cmd, &asJSON)
	return cmd
}

// silentDisk is what there is to say when the time is over.
func silentDisk(err error) diagnose.Finding {
	return diagnose.Finding{
		Check:  "disk",
		Level:  diagnose.Problem,
		Detail: err.Error(),
		Hint:   "the file system does not answer; look at its mount and at its server",
	}
}

// diagnosis is the output of doctor --json.
type diagnosis struct {
	Problems int                `json:"problems"`
	Warnings int                `json:"warnings"`
	Findings []diagnose.Finding `json:"findings"`
}

func printDiagnosis(w io.Writer, findings []diagnose.Finding, asJSON bool) error {
	d := diagnosis{Findings: findings}
	for _, f := range findings {
		switch f.Level {
		case diagnose.Problem:
			d.Problems++
		case diagnose.Warning:
			d.Warnings++
		}
	}
	show := d.printText
	if asJSON {
		show = func(w io.Writer) error { return printJSON(w, d) }
	}
	if err := show(w); err != nil {
		return err
	}
	if d.Problems > 0 {
		return exitCode(exitProblem)
	}
	return nil
}

func (d diagnosis) printText(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range d.Findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.Check, f.Detail)
		if f.Hint != "" {
			fmt.Fprintf(table, "\t\thint: %s\n", f.Hint)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	summary := "An installation ID can be kept here."
	if d.Problems > 0 {
		summary = fmt.Sprintf("Problems: %d. An installation ID cannot be kept here as it should be.", d.Problems)
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}
