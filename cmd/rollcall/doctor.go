package main

import (
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var storage storageFlags
	limit, out := timeout(10*time.Second), output{}
	return with(&cobra.Command{
		Use:   "doctor",
		Short: "Check whether an installation ID can be kept here",
		Long: `Check what it takes to keep an installation ID: the config and its syntax, its
directory, how they are mounted, and whether locks and links work there. Each
problem comes with a hint on what to do.

The config and the ID are not changed. The exit code is 2 if there is a problem;
warnings do not count.`,
		Example: "  rollcall doctor\n  rollcall doctor --config /srv/app/config.json --json",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := storage.rollcallConfig(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := limit.context(cmd)
			defer cancel()
			findings, err := config.Diagnose(ctx)
			if err != nil {
				return inFlags(cmd, err)
			}
			d := diagnosis{Findings: findings}
			for _, f := range findings {
				switch f.Level {
				case rollcall.LevelProblem:
					d.Problems++
				case rollcall.LevelWarning:
					d.Warnings++
				}
			}
			if err := out.print(cmd, d, d.print); err != nil {
				return err
			}
			if d.Problems > 0 {
				return exitCode(exitProblem)
			}
			return nil
		},
	}, &storage, &limit, &out)
}

type diagnosis struct {
	Problems int                `json:"problems"`
	Warnings int                `json:"warnings"`
	Findings []rollcall.Finding `json:"findings"`
}

func (d diagnosis) print(w io.Writer) error {
	table := newTable(w)
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
	switch {
	case d.Problems == 1:
		summary = "1 problem found. An installation ID cannot be kept here reliably."
	case d.Problems > 1:
		summary = fmt.Sprintf("%d problems found. An installation ID cannot be kept here reliably.", d.Problems)
	}
	_, err := fmt.Fprintln(w, summary)
	return err
}
