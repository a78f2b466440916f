package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/legacy"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func newCollectorImport() *cobra.Command {
	var data dataDirFlag
	var out output
	var from, application string
	cmd := with(&cobra.Command{
		Use:   "import APP FILE...",
		Short: "Import the past of an app",
		Long: `Import the past of an app.

--from totals reads totals that "rollcall collector export" wrote. FILE may be -
for standard input. The app must have counted nothing yet, and all days have to be
before the day it was added. Totals contain no installations, so those that
report from then on count as new. Use backup and restore to move a collector with
its installations.

--from history reads JSON lines in the order of their days, each with a report as
the protocol has it. --from yawamf reads the databases of a YA-WAMF telemetry
worker, as SQLite files or SQL dumps. --from shm reads what pg_dump wrote of the
database of an SHM server, in plain SQL, and FILE may be - for standard input;
--application says which of its applications. These three bring the installations,
also into an app that has reports already: an installation that both have is one,
and was first seen on the earlier day. Where both have it on a day, what it reported
here counts.

The files are checked before anything is imported. Meanwhile reports of the app wait,
or are refused for now if that takes too long. An import that is interrupted changes
nothing, and the same files are imported once.`,
		Example: "  rollcall collector app add myapp\n  rollcall collector import myapp totals.jsonl\n" +
			"  rollcall collector import wamf --from yawamf telemetry.sql health.sql\n" +
			"  rollcall collector import myapp shm.sql --from shm --application my-app",
		Args: func(cmd *cobra.Command, args []string) error {
			if application != "" && from != "shm" {
				return withHint(errors.New("--application is for --from shm"), "leave it out")
			}
			if len(args) < 2 || len(args) > 2 && from != "yawamf" {
				return withHint(fmt.Errorf("got %d arguments, want the key of the app and a file", len(args)),
					"the usage is: %s", cmd.UseLine())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			app, files := args[0], args[1:]
			switch from {
			case "history":
				return importHistory(cmd, &data, &out, app, func(_ context.Context, w io.Writer) error {
					file, err := os.Open(files[0])
					if err != nil {
						return withHint(err, "give a file with a history; standard input cannot be read twice")
					}
					defer file.Close()
					_, err = io.Copy(w, file)
					return err
				})
			case "yawamf":
				archive, err := legacy.OpenArchive(cmd.Context(), files...)
				defer archive.Close()
				if err != nil {
					return withHint(err, "give the databases of the worker, or what wrangler d1 export wrote")
				}
				var summary legacy.Summary
				err = importHistory(cmd, &data, &out, app, func(ctx context.Context, w io.Writer) (err error) {
					summary, err = archive.WriteHistory(ctx, app, w)
					return err
				})
				if err == nil && summary != (legacy.Summary{}) {
					fmt.Fprintf(cmd.ErrOrStderr(), "Installations known only by a hash: %d. Rows without a day or an issue: %d.\n", summary.Unknown, summary.Skipped)
				}
				return err
			case "shm":
				return importSHM(cmd, &data, &out, app, files[0], application)
			}
			return importTotals(cmd, &data, &out, app, files[0])
		},
	}, &data, &out)
	cmd.Flags().Var(choiceValue(&from, "totals", "history", "yawamf", "shm"), "from", "what the files are")
	cmd.Flags().StringVar(&application, "application", "", "slug or name of the application in a dump of SHM")
	completeWords(cmd, "from")
	return cmd
}

func importTotals(cmd *cobra.Command, data *dataDirFlag, out *output, app, file string) error {
	in, err := openInput(cmd, file, "rollcall collector export")
	if err != nil {
		return err
	}
	defer in.Close()
	return data.do(cmd, datadir.Options{}, func(client *control.Client) error {
		done, err := client.Import(cmd.Context(), app, in)
		if err != nil {
			return err
		}
		return out.printf(cmd, done, "Imported %d days from %s to %s\n", done.Days, done.From, done.To)
	})
}

// importHistory imports what write writes, once to be checked and once to be
// imported.
func importHistory(cmd *cobra.Command, data *dataDirFlag, out *output, key string, write func(context.Context, io.Writer) error) error {
	return data.do(cmd, datadir.Options{}, func(client *control.Client) error {
		app, err := client.App(cmd.Context(), key)
		if err != nil {
			return err
		}
		lines := stream(cmd.Context(), write)
		progress := newProgress(cmd, "checked", -1)
		found, err := history.Check(countLines{lines, progress}, app, collector.DayOf(time.Now()))
		lines.Close()
		_ = progress.Finish()
		if err != nil {
			return err
		}
		lines = stream(cmd.Context(), write)
		defer lines.Close()
		progress = newProgress(cmd, "imported", found.Reports)
		done, err := client.ImportHistory(cmd.Context(), key, found.SHA256, countLines{lines, progress})
		_ = progress.Finish()
		switch {
		case errors.Is(err, collector.ErrTotalsOnly):
			return withHint(err, "leave these days out of the file")
		case err != nil:
			return err
		}
		text := fmt.Sprintf("Imported %d installations with %d reports from %s to %s\n", done.Installations, done.Reports, done.From, done.To)
		if done.Known > 0 {
			text += fmt.Sprintf("The app had %d of these installations already\n", done.Known)
		}
		if done.Refused > 0 {
			text += fmt.Sprintf("%d reports were left out, because the app refuses their IDs\n", done.Refused)
		}
		return out.printf(cmd, done, "%s", text)
	})
}

// countLines shows on a progress bar how many lines were read.
type countLines struct {
	io.Reader
	progress *progressbar.ProgressBar
}

func (c countLines) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	_ = c.progress.Add(bytes.Count(p[:n], []byte{'\n'}))
	return n, err
}

// stream returns what write writes. Closing it ends write.
func stream(ctx context.Context, write func(context.Context, io.Writer) error) io.ReadCloser {
	ctx, cancel := context.WithCancel(ctx)
	r, w := io.Pipe()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.CloseWithError(write(ctx, w))
	}()
	return &streamReader{r, func() {
		cancel()
		r.Close()
		<-ended
	}}
}

type streamReader struct {
	io.Reader
	close func()
}

// Close implements [io.Closer].
func (s *streamReader) Close() error {
	s.close()
	return nil
}
