package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/spf13/cobra"
)

func newCollectorBackup() *cobra.Command {
	var opts control.BackupOptions
	cmd := clientVerb(&cobra.Command{
		Use:   "backup DEST",
		Short: "Copy the collector's data to a new directory",
		Long: `Copy the collector's data to a new directory DEST: rollcall.db, as it is at the
end of the copy, and rollcall.key. The collector keeps running. Whoever has both
files and the ID of an installation can find its data, so protect the backup as
you protect the collector. --without-key leaves out the key, for example because
you keep it elsewhere. The database cannot be used without it.`,
		Example: "  rollcall collector backup /backup/rollcall-$(date +%F)",
		Args:    oneArgument("the directory to create"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		err := client.Backup(cmd.Context(), args[0], opts)
		switch {
		case errors.Is(err, fs.ErrExist):
			return withHint(fmt.Errorf("%s exists", args[0]), "give the name of a directory that does not exist yet")
		case errors.Is(err, fs.ErrPermission):
			return withHint(err, "choose a destination that you may write to")
		}
		return err
	})
	cmd.Flags().BoolVar(&opts.WithoutSecret, "without-key", false, "leave out rollcall.key")
	return cmd
}

func newCollectorRestore() *cobra.Command {
	var data dataDirFlag
	var opts datadir.RestoreOptions
	cmd := with(&cobra.Command{
		Use:   "restore SRC",
		Short: "Restore a backup, while the collector is stopped",
		Long: `Restore a backup, the directory SRC, into the data directory of a collector that
is not running. The backup and its key are first checked on a copy; if they are
not good, nothing changes. Existing data is replaced only with --force. If the
backup has no key, --key names one; otherwise the key in the data directory is
used. The disk needs free space of twice the size of the backup.`,
		Example: "  rollcall collector restore /backup/rollcall-2026-05-06\n  rollcall collector restore backup --key rollcall.key --force",
		Args:    oneArgument("the directory of the backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := data.check(); err != nil {
				return err
			}
			const hint = "give a directory that rollcall collector backup made"
			if _, err := os.Stat(args[0]); err != nil {
				return withHint(err, hint)
			}
			err := datadir.Restore(cmd.Context(), args[0], data.path, opts)
			switch {
			case errors.Is(err, fs.ErrExist):
				return withHint(fmt.Errorf("%s has the data of a collector", data.path), "replace it with --force")
			case errors.Is(err, sqlite.ErrNotStore), errors.Is(err, fs.ErrNotExist):
				return withHint(err, hint)
			case errors.Is(err, datadir.ErrNoSecret):
				return withHint(err, "name the key that belongs to the backup with --key")
			}
			return explainCollector(err)
		},
	}, &data)
	cmd.Flags().StringVar(&opts.SecretFile, "key", "", "file with the key, if the backup has none")
	cmd.Flags().BoolVar(&opts.Overwrite, "force", false, "replace existing data")
	completeFile(cmd, "key", "key")
	return cmd
}

func newCollectorCheck() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:   "check",
		Short: "Check the integrity of the database",
		Long: `Check the integrity of the database: the structure of its file, and the
consistency of its records. It reads everything, which can take minutes. The
collector keeps running. The exit code is 2 if the database is damaged.`,
		Example: "  rollcall collector check --data-dir /srv/rollcall",
		Args:    noArguments,
	}, func(cmd *cobra.Command, _ []string, client *control.Client) error {
		if err := client.Check(cmd.Context()); err != nil {
			printError(cmd.ErrOrStderr(), withHint(err, "restore the last good backup"))
			return exitCode(exitProblem)
		}
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "Database OK")
		return err
	})
}
