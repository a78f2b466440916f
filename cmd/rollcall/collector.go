package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/engine"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/history"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
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

An installation reports to the collector if its agent has --endpoint, --app
myapp, and --host-version, and its operator has granted telemetry.`,
	}, newCollectorServe(), newCollectorApp(), newCollectorToken(), newCollectorBackup(), newCollectorRestore(), newCollectorCopy(), newCollectorScrub(),
		newCollectorExport(), newCollectorImport(), newCollectorRelease(), newCollectorNote(), newCollectorCheck(), newCollectorAudit())
}

func group(cmd *cobra.Command, verbs ...*cobra.Command) *cobra.Command {
	cmd.Args, cmd.RunE = verbOnly, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(verbs...)
	return cmd
}

type dataDirFlag struct {
	path   string
	store  string // URL, or empty
	secret string // file, or empty
}

func (d *dataDirFlag) add(cmd *cobra.Command) {
	addCollectorFlag(cmd.Flags(), textValue(&d.store, "URL", ""), "store",
		"a PostgreSQL database that holds what is counted, postgres://user@host/name; the default is a file in the data directory")
	addCollectorFlag(cmd.Flags(), textValue(&d.secret, "file", ""), "secret-file",
		"with --store, a file that holds the secret key, as rollcall.key does; "+secretVariable+" can hold the key itself")
	completeFile(cmd, "secret-file", "key")
	d.addDir(cmd)
}

// secretVariable may hold the secret: command lines are visible to others.
const secretVariable = "ROLLCALL_COLLECTOR_SECRET"

// readSecret returns the secret that is not in the data directory, or nil.
func (d *dataDirFlag) readSecret() ([]byte, error) {
	text, from := []byte(os.Getenv(secretVariable)), secretVariable
	if d.secret != "" {
		var err error
		if text, err = os.ReadFile(d.secret); err != nil {
			return nil, withHint(fmt.Errorf("--secret-file: %w", err), secretForm)
		}
		from = d.secret
	}
	switch {
	case len(text) == 0:
		return nil, nil
	case d.store == "":
		return nil, withHint(fmt.Errorf("%s is set without --store", from), "a data directory has its own key, rollcall.key")
	}
	key, err := secret.Parse(text)
	if err != nil {
		return nil, withHint(fmt.Errorf("%s: %w", from, err), secretForm)
	}
	return key, nil
}

const secretForm = "a new key is made by: openssl rand -hex 32"

// addDir adds the directory alone, for a verb that needs no store.
func (d *dataDirFlag) addDir(cmd *cobra.Command) {
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
	if d.store != "" && !postgres.IsURL(d.store) {
		return withHint(errors.New("--store: not the address of a PostgreSQL database"), storeForm)
	}
	return nil
}

const storeForm = "it looks like postgres://user@host:5432/name?sslmode=verify-full; the password belongs in a password file or in PGPASSWORD"

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
	opts.Store = d.store
	var err error
	if opts.Secret, err = d.readSecret(); err != nil {
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
	const bothKeyAndDatabase = "rollcall.key and the database belong together; put the key back, or restore a backup that has both"
	if _, held := errors.AsType[*postgres.HeldError](err); held {
		return withHint(err, "run the verb with the key of that collector (--secret-file, or its --data-dir) where it can be reached, or stop it first")
	}
	for _, known := range []struct {
		err  error
		hint string
	}{
		{sqlite.ErrNewer, "use the newer version of rollcall, or restore the copy of the old database that its upgrade left beside it"},
		{sqlite.ErrInUse, "a file has one collector: stop the other one, or choose another directory with --data-dir. " +
			"Several collectors can share one count in PostgreSQL: rollcall collector copy moves it there, and --store names it"},
		{sqlite.ErrNotStore, "point --data-dir to a collector's directory, or put a backup there with rollcall collector restore"},
		{postgres.ErrConfig, storeForm},
		{postgres.ErrPassword, "check the user, the password (PGPASSWORD, or a line in ~/.pgpass with mode 0600), and the server's pg_hba.conf"},
		{postgres.ErrPassfile, "make it yours alone: chmod 0600"},
		{postgres.ErrTLS, "name the authority of the server's certificate with sslrootcert=FILE, and the server as the certificate does; sslmode=disable is for loopback only"},
		{postgres.ErrForeign, "name another database, or give the user a schema of its own: ALTER ROLE USER SET search_path = rollcall"},
		{postgres.ErrNoDatabase, "create it: createdb --owner=USER NAME"},
		{postgres.ErrTooOld, "upgrade the server, or use a newer one"},
		{postgres.ErrReadOnly, "name the primary; with several hosts in the address, the primary among them is used"},
		{postgres.ErrPrivilege, "let the user create tables: GRANT CREATE ON SCHEMA public TO USER, or make it the owner of the database"},
		{postgres.ErrNewer, "use the newer version of rollcall"},
		{postgres.ErrDamaged, "stop the collector, keep a copy of the database, and restore the last good backup"},
		{postgres.ErrNotEmpty, "replace it with --force, or name an empty database"},
		{engine.ErrSecret, bothKeyAndDatabase},
		{datadir.ErrNoSecret, bothKeyAndDatabase},
		{datadir.ErrBadSecret, bothKeyAndDatabase},
		{datadir.ErrNoData, "point --data-dir to the data, name a PostgreSQL database with --store, or start with an empty directory: rollcall collector serve"},
		{collector.ErrUnknownApp, "rollcall collector app list shows the apps, and app add adds one"},
		{collector.ErrAppExists, "rollcall collector app set changes it"},
		{collector.ErrNotEmpty, "import into a new app: rollcall collector app add"},
		{history.ErrInvalid, "docs/operations.md describes the lines of a history"},
		{collector.ErrArchive, "use a file that rollcall collector export wrote with --format jsonl, and an app that was added after its last day"},
		{collector.ErrUnavailable, "check whether the disk is full or read-only, or the database is away, then try again"},
		{control.ErrUntrusted, "find out who wrote that file; remove it, and restart the collector"},
		{access.ErrAmbiguous, "name its app with --app"},
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
