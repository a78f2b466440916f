package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write man pages to a directory",
		Long: `Write a man page for each command to the directory DIR, which is created if it
does not exist. The date of the pages is SOURCE_DATE_EPOCH if that is set, or
else the day of the revision that this program was built from.`,
		Example: "  rollcall man /usr/local/share/man/man1",
		Args:    oneArgument("the directory to write to"),
		RunE: func(cmd *cobra.Command, args []string) error {
			const hint = "name a directory that you may write to"
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return withHint(err, hint)
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Manual: "Rollcall", Source: "rollcall " + buildVersion().Version}
			if os.Getenv("SOURCE_DATE_EPOCH") == "" { // the library reads it
				header.Date = buildDate()
			}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return withHint(fmt.Errorf("write man pages: %w", err), hint)
			}
			return nil
		},
	}
}

// buildDate returns the time of the revision that the program was built from,
// or nil if that is not known.
func buildDate() *time.Time {
	at, err := time.Parse(time.RFC3339, buildSetting("vcs.time"))
	if err != nil {
		return nil
	}
	return &at
}
