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
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/sqlite"
	"github.com/spf13/cobra"
)

func newCollector() *cobra.Command {
	return group(&cobra.Command{
		Use:   "collector",
		Short: "Count the installations of apps: the server, and what is done with it",
		Long: `Count the installations of apps. "serve" runs the collector: it takes the heartbeats of agents and libraries, and shows the
dashboard. The other verbs work on its data folder, on the same machine and as the same user, whether it runs or not.

  rollcall collector serve &
  rollcall collector app add myapp
  rollcall collector token add me

An installation reports to it when its agent has --app myapp and --endpoint, and its operator has granted telemetry.`,
	}, newCollectorServe(), newCollectorApp(), newCollectorToken(), newCollectorBackup(), newCollectorRestore(),
		newCollectorExport(), newCollectorImport(), newCollectorCheck())
}

// group makes a verb that only has others below it.
func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Args = verbOnly
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

// dataFolder is the setting that says where a collector has its data.
type dataFolder struct{ dir string }

func (f *dataFolder) add(cmd *cobra.Command) {
	addCollectorSetting(cmd.Flags(), textSetting(&f.dir, "folder", defaultDataDir()), "data-dir",
		"the data folder of the collector; under systemd its state folder is the default")
	_ = cmd.MarkFlagDirname("data-dir") // fails only for a flag that does not exist
}

// defaultDataDir is the first folder of STATE_DIRECTORY, which systemd sets, or else one in the working directory.
func defaultDataDir() string {
	if folders := filepath.SplitList(os.Getenv("STATE_DIRECTORY")); len(folders) > 0 {
		return folders[0]
	}
	return "rollcall-data"
}

// connect finds the collector of the folder, which has to be there.
func (f *dataFolder) connect(cmd *cobra.Command) (*control.Client, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	client, err := control.Connect(cmd.Context(), f.dir, datadir.Options{})
	return client, explainCollector(err)
}

// make is connect, and makes the folder and what belongs in it when that is missing.
func (f *dataFolder) make(cmd *cobra.Command) (*control.Client, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	client, err := control.Connect(cmd.Context(), f.dir, datadir.Options{Create: true})
	return client, explainCollector(err)
}

func (f *dataFolder) check() error {
	if f.dir == "" {
		return withHint(errors.New("--data-dir: empty"), "leave it out for %s", defaultDataDir())
	}
	return nil
}

// explainCollector adds to an error of a collector what can be done about it, unless a hint is there already.
func explainCollector(err error) error {
	if _, ok := errors.AsType[*hintedError](err); ok {
		return err
	}
	hints := []struct {
		is   error
		hint string
	}{
		{sqlite.ErrNewer, "use the newer version of rollcall; the upgrade kept a copy of the older database beside it, which restore takes"},
		{sqlite.ErrInUse, "another rollcall collector works in this folder; wait for it or stop it, or choose another folder with --data-dir"},
		{sqlite.ErrNotStore, "--data-dir names the folder of a collector; rollcall collector restore puts a backup in its place"},
		{engine.ErrSecret, "rollcall.key and rollcall.db belong together: put back the key, or restore a backup that has both"},
		{datadir.ErrNoSecret, "put back the key that belongs to the database, or restore a backup that has both"},
		{datadir.ErrBadSecret, "put back the key that belongs to the database, or restore a backup that has both"},
		{datadir.ErrNoData, "--data-dir says where the data is; rollcall collector serve begins with an empty folder"},
		{collector.ErrUnknownApp, "rollcall collector app list shows the apps, and app add makes one"},
		{collector.ErrAppExists, "rollcall collector app set changes it"},
		{collector.ErrNotEmpty, "import into an app that is new: rollcall collector app add"},
		{collector.ErrArchive, "give a file that rollcall collector export wrote, with --format jsonl"},
		{collector.ErrUnavailable, "is the disk full or read-only? It can be tried again"},
		{access.ErrNoToken, "rollcall collector token list shows the tokens"},
		{access.ErrExists, "choose another name, or revoke it first"},
		{syscall.EADDRINUSE, "another program listens there, perhaps another collector; choose another address with --listen"},
		{daemon.ErrListen, "--listen takes host:port, such as " + defaultCollectorListen},
		{fs.ErrPermission, "is it the folder of another user? --data-dir chooses another one"},
	}
	for _, h := range hints {
		if errors.Is(err, h.is) {
			return withHint(err, "%s", h.hint)
		}
	}
	return err
}
