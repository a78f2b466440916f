package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/spf13/cobra"
)

func newCollectorCopy() *cobra.Command {
	var out output
	var key string
	cmd := with(&cobra.Command{
		Use:   "copy FROM TO",
		Short: "Copy what a stopped collector holds to PostgreSQL, or back",
		Long: `Copy what a stopped collector holds: FROM and TO are data directories, or
addresses of PostgreSQL databases, postgres://user@host/name. TO must be empty, or
it is refused. At the end the two are compared row by row. A copy into a database
is one transaction, and a file appears when it is complete, so an interrupted copy
leaves nothing.

The key is copied from one directory to the other. For a database it stays where
it is: go on with "rollcall collector serve --data-dir FROM --store TO". To copy a
database to a directory, name the key with --key.`,
		Example: "  rollcall collector copy rollcall-data postgres://rollcall@db.example/rollcall\n" +
			"  rollcall collector copy postgres://rollcall@db.example/rollcall new-data --key rollcall-data/rollcall.key",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return withHint(fmt.Errorf("got %d arguments, want FROM and TO", len(args)), "the usage is: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			from, to := args[0], args[1]
			if key == "" && !postgres.IsURL(from) {
				key = filepath.Join(from, datadir.SecretFile)
			}
			if key == "" && !postgres.IsURL(to) {
				return withHint(errors.New("--key is missing: a data directory needs the key"), "name the rollcall.key of the database")
			}
			copied, err := datadir.Copy(cmd.Context(), from, to, datadir.CopyOptions{SecretFile: key, Progress: showProgress(cmd, "rows")})
			switch {
			case errors.Is(err, fs.ErrExist):
				return withHint(fmt.Errorf("%s has the data of a collector", to), "name a directory that has none")
			case errors.Is(err, postgres.ErrNotEmpty):
				return withHint(err, "name an empty database")
			case err != nil:
				return explainCollector(err)
			}
			result := copyOutput{copied.Identities, copied.Records, copied.Rows()}
			return out.printf(cmd, result, "Copied %d installations, %d records, and %d entries of the journal; the copy holds the same\n",
				copied.Identities, copied.Records, copied.Journal)
		},
	}, &out)
	cmd.Flags().StringVar(&key, "key", "", "file with the key, for TO; by default that in FROM")
	completeFile(cmd, "key", "key")
	return cmd
}

type copyOutput struct {
	Installations int64 `json:"installations"`
	Records       int64 `json:"records"`
	Rows          int64 `json:"rows"`
}

func newCollectorScrub() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:   "scrub",
		Short: "Remove deleted data from the files of a PostgreSQL database",
		Long: `Rewrite the tables of a PostgreSQL database, so that its files hold nothing that
was deleted before. PostgreSQL leaves deleted rows in its pages, also after a
VACUUM. Reports wait meanwhile: about a second for a million installations. It
needs the rights of the tables' owner, and space for a copy of the largest table.
The server's log, standbys, archives, and snapshots keep what they have until they
expire. A collector with a file has nothing to scrub.`,
		Example: "  rollcall collector scrub --store postgres://rollcall@db.example/rollcall",
		Args:    noArguments,
	}, func(cmd *cobra.Command, _ []string, client *control.Client) error {
		if err := client.Scrub(cmd.Context()); err != nil {
			return err
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "The files of the database hold no deleted data")
		return err
	})
}
