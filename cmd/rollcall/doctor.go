package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var storage storageFlags
	limit, out := timeout(10*time.Second), output{}
	var store storeFlag
	return with(&cobra.Command{
		Use:   "doctor",
		Short: "Check whether an installation ID can be kept here",
		Long: `Check what it takes to keep an installation ID: the config and its syntax, its
directory, how they are mounted, and whether locks and links work there. Each
problem comes with a hint on what to do. With --store, check the PostgreSQL database
of a collector too, and warn if a failover would lose reports.

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
			findings = append(findings, diagnoseStore(ctx, store.url)...)
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
	}, &storage, &store, &limit, &out)
}

type diagnosis struct {
	Problems int                `json:"problems"`
	Warnings int                `json:"warnings"`
	Findings []rollcall.Finding `json:"findings"`
}

func (d diagnosis) print(w io.Writer) error {
	table := newTable(w)
	for _, f := range d.Findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", paint(w, colorOf(f.Level), f.Level.String()), f.Check, f.Detail)
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
	verdict := green
	if d.Problems > 0 {
		verdict = red
	}
	_, err := fmt.Fprintln(w, paint(w, verdict, summary))
	return err
}

type storeFlag struct{ url string }

func (s *storeFlag) add(cmd *cobra.Command) {
	addCollectorFlag(cmd.Flags(), textValue(&s.url, "URL", ""), "store", "check this PostgreSQL database of a collector too")
}

// diagnoseStore checks the database of a collector, if there is one.
func diagnoseStore(ctx context.Context, url string) []rollcall.Finding {
	if url == "" {
		return nil
	}
	finding := rollcall.Finding{Check: "store", Level: rollcall.LevelOK}
	version, warnings, err := postgres.Probe(ctx, postgres.Config{URL: url})
	if err != nil {
		finding.Level, finding.Detail = rollcall.LevelProblem, err.Error()
		if hinted, ok := errors.AsType[*hintedError](explainCollector(err)); ok {
			finding.Hint = hinted.hint
		}
		return []rollcall.Finding{finding}
	}
	finding.Detail = "PostgreSQL " + version + " can be read and written"
	findings := []rollcall.Finding{finding}
	for _, w := range warnings {
		text, hint := w.Text()
		findings = append(findings, rollcall.Finding{Check: "store", Level: rollcall.LevelWarning, Detail: text, Hint: hint})
	}
	return findings
}
