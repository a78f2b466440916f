package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/table"
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

func newCollectorExport() *cobra.Command {
	var format string
	cmd := clientVerb(&cobra.Command{
		Use:   "export APP",
		Short: "Write the totals of an app, without its installations",
		Long: `Write the totals of an app to standard output. They identify no installation.

--format jsonl writes all that is kept of finished days, as JSON lines that
"rollcall collector import" reads. --format csv writes a table of the figures by
day, including the current one. The figures of days on which the collector did
not run are empty.`,
		Example: "  rollcall collector export myapp > totals.jsonl\n  rollcall collector export myapp --format csv > days.csv",
		Args:    oneArgument("the key of the app"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		if format == "csv" {
			return exportCSV(cmd, client, args[0])
		}
		return client.Export(cmd.Context(), args[0], cmd.OutOrStdout())
	})
	cmd.Flags().Var(choiceValue(&format, "jsonl", "csv"), "format", "format of the output")
	completeWords(cmd, "format")
	return cmd
}

func exportCSV(cmd *cobra.Command, client *control.Client, app string) error {
	series, err := client.Series(cmd.Context(), app)
	if err != nil {
		return err
	}
	days := table.New("day", "open", "active_1d", "active_7d", "active_28d", "active_30d", "established_1d",
		"established_7d", "established_28d", "established_30d", "new", "returning", "lost", "forgotten", "in_memory", "excluded")
	for _, p := range series.Points {
		if p.Gap {
			p = figures.SeriesPoint{Day: p.Day, Open: p.Open}
		}
		days.Add(p.Day, yesNo(p.Open), p.Active.Day, p.Active.Week, p.Active.Days28, p.Active.Days30, p.Established.Day,
			p.Established.Week, p.Established.Days28, p.Established.Days30, p.New, p.Returning, p.Lost, p.Forgotten, p.InMemory, p.Excluded)
	}
	_, err = cmd.OutOrStdout().Write(bytes.ReplaceAll(days.CSV(), []byte("\r\n"), []byte("\n"))) // for other commands
	return err
}

func newCollectorImport() *cobra.Command {
	var data dataDirFlag
	var out output
	return with(&cobra.Command{
		Use:   "import APP FILE",
		Short: "Import exported totals into a new app",
		Long: `Import totals that "rollcall collector export" wrote into an app that has
counted nothing yet. FILE may be - for standard input. All its days have to be
before the day on which the app was added. An import that fails leaves no trace
in the figures.

Totals contain no installations, so those that report from then on count as new.
Use backup and restore to move a collector with its installations.`,
		Example: "  rollcall collector app add myapp\n  rollcall collector import myapp totals.jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return withHint(fmt.Errorf("got %d arguments, want the key of the app and a file", len(args)),
					"the usage is: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			in, err := openInput(cmd, args[1], "rollcall collector export")
			if err != nil {
				return err
			}
			defer in.Close()
			return data.do(cmd, datadir.Options{}, func(client *control.Client) error {
				done, err := client.Import(cmd.Context(), args[0], in)
				if err != nil {
					return err
				}
				return out.printf(cmd, done, "Imported %d days from %s to %s\n", done.Days, done.From, done.To)
			})
		},
	}, &data, &out)
}
