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
	var folder dataFolder
	var opts control.BackupOptions
	cmd := &cobra.Command{
		Use:   "backup DEST",
		Short: "Copy all that the collector holds to a new folder",
		Long: `Copy all that the collector holds to a new folder DEST: rollcall.db, as it is at the end of the copy, and rollcall.key. The
collector goes on meanwhile. The two together let the one who has them, and an installation's ID, find what is held about
that installation: keep them as you keep the collector. With --without-key the key is left out, for when it is kept elsewhere;
without it the database cannot be used.`,
		Example: "  rollcall collector backup /backup/rollcall-$(date +%F)",
		Args:    oneArgument("the folder to make"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			err = client.Backup(cmd.Context(), args[0], opts)
			if errors.Is(err, fs.ErrExist) {
				return withHint(fmt.Errorf("%s exists", args[0]), "give the name of a folder that is not there yet")
			}
			if errors.Is(err, fs.ErrPermission) {
				return err
			}
			return explainCollector(err)
		},
	}
	folder.add(cmd)
	cmd.Flags().BoolVar(&opts.WithoutSecret, "without-key", false, "leave out rollcall.key")
	return cmd
}

func newCollectorRestore() *cobra.Command {
	var folder dataFolder
	var opts datadir.RestoreOptions
	cmd := &cobra.Command{
		Use:   "restore SRC",
		Short: "Put a backup into the data folder of a collector that does not run",
		Long: `Put a backup, the folder SRC, into the data folder of a collector that does not run. It is checked first, on a copy, and its
key too: a backup that is not good changes nothing. What is in the data folder already is replaced only with --force. Where
the backup has no key, --key names one, or the one in the data folder is used. It needs twice the backup's size of free disk.`,
		Example: "  rollcall collector restore /backup/rollcall-2026-05-06\n  rollcall collector restore backup --key rollcall.key --force",
		Args:    oneArgument("the folder of the backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := folder.check(); err != nil {
				return err
			}
			if _, err := os.Stat(args[0]); err != nil {
				return withHint(err, "give a folder that rollcall collector backup made")
			}
			err := datadir.Restore(cmd.Context(), args[0], folder.dir, opts)
			switch {
			case errors.Is(err, fs.ErrExist):
				return withHint(fmt.Errorf("%s has the data of a collector", folder.dir), "--force replaces it")
			case errors.Is(err, sqlite.ErrNotStore), errors.Is(err, fs.ErrNotExist):
				return withHint(err, "give a folder that rollcall collector backup made")
			case errors.Is(err, datadir.ErrNoSecret):
				return withHint(err, "name the key that belongs to the backup with --key")
			}
			return explainCollector(err)
		},
	}
	folder.add(cmd)
	cmd.Flags().StringVar(&opts.SecretFile, "key", "", "file with the key, where the backup has none")
	cmd.Flags().BoolVar(&opts.Overwrite, "force", false, "replace what is in the data folder")
	_ = cmd.MarkFlagFilename("key", "key")
	return cmd
}

func newCollectorCheck() *cobra.Command {
	var folder dataFolder
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look whether the database is whole",
		Long: `Look whether the database is whole: the structure of its file, and that what is in it fits together. It reads all of it, which
can take minutes; the collector goes on meanwhile. The exit code is 2 when something is wrong.`,
		Example: "  rollcall collector check --data-dir /srv/rollcall",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			if err := client.Check(cmd.Context()); err != nil {
				fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: %v\n  hint: restore the last backup that is good\n", err)
				return exitCode(exitProblem)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "the database is whole")
			return err
		},
	}
	folder.add(cmd)
	return cmd
}
