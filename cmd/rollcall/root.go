package main

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// docSource contains the package comment, which is also the help text.
//
//go:embed doc.go
var docSource string

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "rollcall",
		Short:         "An anonymous installation ID that never hangs its host",
		Long:          helpText(docSource),
		Version:       versionLine(),
		Args:          verbOnly,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applyEnvironment(cmd.Flags())
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return withHint(err, "%s --help lists the flags", cmd.CommandPath())
	})
	root.AddCommand(newAgent(), newID(), newStatus(), newDoctor(), newReset(), newVersion(),
		newEnable(), newDisable(), newPreview(), newSend(), newExport(), newForget(),
		newUp(), newCollector(), newSimulate(), newLicenses())
	return root
}

// helpText returns the package comment of a Go file as plain text.
func helpText(source string) string {
	var text strings.Builder
	for line := range strings.Lines(source) {
		comment, ok := strings.CutPrefix(line, "//")
		if !ok {
			break
		}
		comment = strings.TrimPrefix(comment, " ")
		text.WriteString(strings.Replace(comment, "\t", "  ", 1))
	}
	return strings.TrimSpace(text.String())
}

// verbOnly refuses unknown verbs, and suggests a similar one.
func verbOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return withHint(err, "did you mean %q?", similar[0])
	}
	return withHint(err, "rollcall --help lists the commands")
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("unexpected argument %q", args[0]), "%s takes only flags; see %[1]s --help", cmd.CommandPath())
}

// oneArgument requires exactly one argument. What names it if it is
// missing.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		err := fmt.Errorf("%s is missing", what)
		if len(args) > 1 {
			err = fmt.Errorf("unexpected argument %q", args[1])
		}
		return withHint(err, "the usage is: %s", cmd.UseLine())
	}
}
