package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/rollcall-dev/rollcall/cmd/internal/listen"
	"github.com/spf13/cobra"
)

func newCollector() *cobra.Command {
	return group(&cobra.Command{
		Use:   "collector",
		Short: "Count the installations of apps",
		Long: `Count the installations of apps. "serve" runs the collector: it receives the
heartbeats of agents and libraries, and serves the dashboard. The other verbs
work on its data directory, on the same machine and as the same user, whether or
not it is running.

  rollcall collector serve &
  rollcall collector app add myapp
  rollcall collector token add me

An installation reports to the collector if its agent has --app myapp and
--endpoint, and its operator has granted telemetry.`,
	}, newCollectorServe(), newCollectorApp(), newCollectorToken(), newCollectorBackup(), newCollectorRestore(),
		newCollectorExport(), newCollectorImport(), newCollectorCheck())
}

func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Args, cmd.RunE = verbOnly, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

type dataDirFlag struct{ path string }

func (d *dataDirFlag) add(cmd *cobra.Command) {
	addCollectorFlag(cmd.Flags(), textValue(&d.path, "dir", defaultDataDir()), "data-dir",
		"the collector's data directory; under systemd the default is its state directory")
	completeDirectory(cmd, "data-dir")
}

// defaultDataDir returns the first directory of STATE_DIRECTORY, which
// systemd sets, or else one in the working directory.
func defaultDataDir() string {
	if dirs := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(dirs) > 0 {
		return dirs[0]
	}
	return "rollcall-data"
}

func (d *dataDirFlag) check() error {
	if d.path == "" {
		return withHint(errors.New("--data-dir: empty"), "omit it for %s", defaultDataDir())
	}
	return nil
}

type clientRun func(cmd *cobra.Command, args []string, client *control.Client) error

// clientVerb completes a verb that sends commands to the collector of
// --data-dir, which has to exist.
func clientVerb(cmd *cobra.Command, run clientRun) *cobra.Command {
	var data dataDirFlag
	data.add(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return data.do(cmd, datadir.Options{}, func(client *control.Client) error { return run(cmd, args, client) })
	}
	return cmd
}

// do connects to the collector of the data directory, which has to
// exist unless the options create it.
func (d *dataDirFlag) do(cmd *cobra.Command, opts datadir.Options, work func(*control.Client) error) error {
	if err := d.check(); err != nil {
		return err
	}
	client, err := control.Connect(cmd.Context(), d.path, opts)
	if err == nil {
		defer client.Close()
		err = work(client)
	}
	return explainCollector(err)
}

// explainCollector adds a hint to an error, unless it has one already.
func explainCollector(err error) error {
	if _, ok := errors.AsType[*hintedError](err); ok {
		return err
	}
	const bothKeyAndDatabase = "rollcall.key and rollcall.db belong together; put the key back, or restore a backup that has both"
	for _, known := range []struct {
		err  error
		hint string
	}{
		{sqlite.ErrNewer, "use the newer version of rollcall, or restore the copy of the old database that its upgrade left beside it"},
		{sqlite.ErrInUse, "another rollcall collector uses this directory; stop it, or choose another directory with --data-dir"},
		{sqlite.ErrNotStore, "point --data-dir to a collector's directory, or put a backup there with rollcall collector restore"},
		{engine.ErrSecret, bothKeyAndDatabase},
		{datadir.ErrNoSecret, bothKeyAndDatabase},
		{datadir.ErrBadSecret, bothKeyAndDatabase},
		{datadir.ErrNoData, "point --data-dir to the data, or start with an empty directory: rollcall collector serve"},
		{collector.ErrUnknownApp, "rollcall collector app list shows the apps, and app add adds one"},
		{collector.ErrAppExists, "rollcall collector app set changes it"},
		{collector.ErrNotEmpty, "import into a new app: rollcall collector app add"},
		{collector.ErrArchive, "use a file that rollcall collector export wrote with --format jsonl"},
		{collector.ErrUnavailable, "check whether the disk is full or read-only, then try again"},
		{access.ErrNoToken, "rollcall collector token list shows the tokens"},
		{access.ErrExists, "choose another name, or revoke the token first"},
		{syscall.EADDRINUSE, "another program, perhaps another collector, listens there; choose another address with --listen"},
		{listen.ErrAddress, "--listen takes host:port, such as " + defaultCollectorListen},
		{fs.ErrPermission, "the directory may belong to another user; choose another one with --data-dir"},
	} {
		if errors.Is(err, known.err) {
			return withHint(err, "%s", known.hint)
		}
	}
	return err
}
