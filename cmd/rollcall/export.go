package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

// withheldHint is the hint if the operator has not granted telemetry.
const withheldHint = "rollcall preview shows what would be sent; rollcall enable grants it"

func newExport() *cobra.Command {
	e := &export{}
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the heartbeat to a file, for a machine without a network",
		Long: `Write the heartbeat to FILE, or to standard output for -, with the bytes that
would be sent. Take it to a machine with a network and send it there with
"rollcall send FILE". Telemetry has to be granted here. An existing FILE is
replaced only with --force.`,
		Example: "  rollcall export report.json --app myapp",
		Args:    cobra.ExactArgs(1),
		RunE:    e.run,
	}
	e.reporting.add(cmd)
	cmd.Flags().BoolVar(&e.force, "force", false, "replace an existing file")
	addTimeout(cmd, &e.limit, 10*time.Second)
	return cmd
}

type export struct {
	reporting reportingFlags
	force     bool
	limit     time.Duration
}

func (e *export) run(cmd *cobra.Command, args []string) error {
	service, stop, err := e.reporting.start(cmd)
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithTimeout(cmd.Context(), e.limit)
	defer cancel()
	if d := service.Decisions(ctx); d.Telemetry.State != rollcall.Granted {
		return withHint(fmt.Errorf("%w: telemetry is %s", rollcall.ErrWithheld, describe(d.Telemetry)), withheldHint)
	}
	made, err := service.Preview(ctx)
	if err != nil {
		return withHint(err, doctorHint)
	}
	if args[0] == "-" {
		_, err = cmd.OutOrStdout().Write(made.Heartbeat)
		return err
	}
	return writeFile(args[0], made.Heartbeat, e.force)
}

// writeFile writes a new file, or with force replaces the contents of
// an existing one.
func writeFile(name string, data []byte, force bool) error {
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(name, flag, 0o600)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("%s exists", name), "give another name, or use --force")
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
