package main

import (
	_ "embed"
	"io"

	"github.com/spf13/cobra"
)

// noticesText contains the licences and notices of everything that is
// linked into the program. TestNotices generates and checks it.
//
//go:embed notices.txt
var noticesText string

func newLicenses() *cobra.Command {
	return &cobra.Command{
		Use:   "licenses",
		Short: "Print the licences of the software in this program",
		Long: `Print the licences and notices of this program, of the Go standard library, and
of all modules linked into the program, with their versions.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), noticesText)
			return err
		},
	}
}
