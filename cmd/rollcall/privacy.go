package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newPrivacy() *cobra.Command {
	p := new(privacy)
	return with(&cobra.Command{
		Use:   "privacy",
		Short: "Print what the host sends, for its documentation",
		Long: `Print the section "What this program sends" for the host's own documentation, in
Markdown: where reports go, every field and declared fact with its reason, and
how the operator decides. It follows from the flags alone, and reads no config.

A host in Go has the same in rollcall.Config.PrivacySection, and a test that
holds its documentation to it in rollcalltest.CheckPrivacy.`,
		Example: "  rollcall privacy --app my-app --endpoint https://telemetry.example.org --facts facts.json > docs/telemetry.md",
		Args:    noArguments,
		RunE:    p.run,
	}, &p.reporting)
}

type privacy struct{ reporting reportingFlags }

func (p *privacy) run(cmd *cobra.Command, _ []string) error {
	config, err := p.reporting.rollcallConfig(cmd)
	if err != nil {
		return err
	}
	section, err := config.PrivacySection()
	if err != nil {
		return inFlags(cmd, err)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), section)
	return err
}
