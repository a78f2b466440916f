package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
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
end of the copy, and rollcall.key. Of a PostgreSQL database, rollcall.db is a copy
as of the beginning, which restore accepts with and without --store. The collector keeps running. Whoever has both
files and the ID of an installation can find its data, so protect the backup as
you protect the collector. --without-key leaves out the key, for example because
you keep it elsewhere. The database cannot be used without it.`,
		Example: "  rollcall collector backup /backup/rollcall-$(date +%F)",
		Args:    oneArgument("the directory to create"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		opts.Progress = showProgress(cmd, "bytes")
		err := waiting(cmd, "The collector copies its data", func() error { return client.Backup(cmd.Context(), args[0], opts) })
		switch {
		case errors.Is(err, fs.ErrExist):
			return withHint(fmt.Errorf("%s exists", args[0]), "name a directory that does not exist yet")
		case errors.Is(err, fs.ErrPermission):
			return withHint(err, "choose a destination that you may write to")
		case err != nil:
			return err
		}
		with := " and " + datadir.SecretFile
		if opts.WithoutSecret {
			with = ", without " + datadir.SecretFile
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "Backed up to %s: %s%s\n", args[0], databaseIn(args[0]), with)
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
used. The disk needs free space of twice the size of the backup.

With --store, the backup replaces nothing in the data directory but the key, and
is copied to the PostgreSQL database, in one transaction.`,
		Example: "  rollcall collector restore /backup/rollcall-2026-05-06\n  rollcall collector restore backup --key rollcall.key --force",
		Args:    oneArgument("the directory of the backup"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := data.check(); err != nil {
				return err
			}
			const hint = "name a directory that rollcall collector backup made"
			if _, err := os.Stat(args[0]); err != nil {
				return withHint(err, hint)
			}
			if data.store != "" {
				var err error
				if opts.Secret, err = data.readSecret(); err != nil {
					return err
				}
			}
			opts.Store, opts.Progress = data.store, showProgress(cmd, "rows")
			err := waiting(cmd, "The backup is checked and copied", func() error { return datadir.Restore(cmd.Context(), args[0], data.path, opts) })
			switch {
			case errors.Is(err, datadir.ErrOtherKey):
				return withHint(err, "name a directory without data with --data-dir, where the key goes")
			case errors.Is(err, fs.ErrExist) && data.store != "":
				return withHint(fmt.Errorf("%s has another key", data.path), "name another directory with --data-dir, or replace the key with --force")
			case errors.Is(err, fs.ErrExist):
				return withHint(fmt.Errorf("%s has the data of a collector", data.path), "replace it with --force")
			case errors.Is(err, sqlite.ErrNotStore), errors.Is(err, fs.ErrNotExist):
				return withHint(err, hint)
			case errors.Is(err, datadir.ErrNoSecret):
				return withHint(err, "name the key that belongs to the backup with --key")
			case err != nil:
				return explainCollector(err)
			}
			to := data.path
			switch {
			case len(opts.Secret) > 0:
				to = "the PostgreSQL database"
			case data.store != "":
				to = "the PostgreSQL database, with the key in " + data.path
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Restored %s: %s, to %s\n", args[0], databaseIn(args[0]), to)
			return err
		},
	}, &data)
	cmd.Flags().StringVar(&opts.SecretFile, "key", "", "file with the key, if the backup has none")
	cmd.Flags().BoolVar(&opts.Overwrite, "force", false, "replace existing data")
	completeFile(cmd, "key", "key")
	return cmd
}

// databaseIn describes the database in the directory of a backup.
func databaseIn(dir string) string {
	info, err := os.Stat(filepath.Join(dir, datadir.DatabaseFile))
	if err != nil {
		return datadir.DatabaseFile
	}
	return fmt.Sprintf("%s (%.1f MB)", datadir.DatabaseFile, float64(info.Size())/1e6)
}

func newCollectorCheck() *cobra.Command {
	var yes yesFlag
	var fixDay bool
	cmd := clientVerb(with(&cobra.Command{
		Use:   "check",
		Short: "Check the integrity of the database, and the clock",
		Long: `Check the integrity of the database: the structure of its file, and the
consistency of its records. It reads everything, which can take minutes. The
collector keeps running. Of a PostgreSQL database it warns if acknowledged reports
could be lost in a failover or a power cut. The exit code is 2 if the database is damaged, or if the
collector does not trust its clock and counts provisionally.

--fix-day confirms the day that the clock of the collector's machine reads, so set
the clock right first. What was counted provisionally counts on that day. If later
days have been counted because the clock was wrong, they become part of that day:
their activity and their faults move to it, and their figures are dropped.`,
		Example: "  rollcall collector check --data-dir /srv/rollcall\n  rollcall collector check --fix-day",
		Args:    noArguments,
	}, &yes), func(cmd *cobra.Command, _ []string, client *control.Client) error {
		if err := client.Check(cmd.Context()); err != nil {
			printError(cmd.ErrOrStderr(), withHint(err, "restore the last good backup"))
			return exitCode(exitProblem)
		}
		if _, err := fmt.Fprintln(cmd.OutOrStdout(), "Database OK"); err != nil {
			return err
		}
		warnings, err := client.Warnings(cmd.Context())
		if err != nil {
			return err
		}
		for _, w := range warnings {
			text, hint := w.Text()
			printError(cmd.ErrOrStderr(), withHint(errors.New("warning: "+text), "%s", hint))
		}
		clock, err := client.Clock(cmd.Context())
		switch {
		case err != nil:
			return err
		case fixDay:
			return confirmDay(cmd, client, clock, yes)
		case !clock.Trusted:
			printError(cmd.ErrOrStderr(), withHint(
				fmt.Errorf("the clock reads %s, but %s was expected; reports count provisionally on %s", minute(clock.Reads), minute(clock.Expected), clock.Day),
				"set the clock right, or confirm the day with --fix-day"))
			return exitCode(exitProblem)
		}
		return nil
	})
	cmd.Flags().BoolVar(&fixDay, "fix-day", false, "confirm the day that the clock reads")
	return cmd
}

// confirmDay has the collector count on the day that its clock reads.
func confirmDay(cmd *cobra.Command, client *control.Client, clock collector.Clock, yes yesFlag) error {
	if clock.Trusted {
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "Clock OK: reports count on %s\n", clock.Day)
		return err
	}
	question := fmt.Sprintf("The clock reads %s. Count on that day?", minute(clock.Reads))
	if day := collector.DayOf(clock.Reads); day < clock.Day {
		question = fmt.Sprintf("The clock reads %s. Make %s to %s one day, and count on it?", minute(clock.Reads), day, clock.Day)
	}
	if err := yes.confirm(cmd, question); err != nil {
		return err
	}
	fixed, err := client.FixDay(cmd.Context())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "Reports count on %s now, not on %s\n", fixed.Now, fixed.Before)
	return err
}

// minute returns a time for people.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

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
