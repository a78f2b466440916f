package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

func newSend() *cobra.Command {
	s := &send{}
	cmd := &cobra.Command{
		Use:   "send [FILE]",
		Short: "Send a heartbeat now",
		Long: `Send a heartbeat now, whether one is due or not, and say what the collector answered. Telemetry has to be granted. The
collector counts an installation once a day, however often it reports.

With FILE, or - for standard input, send a heartbeat that "rollcall export" wrote on a machine without a network; the
decision to send it was taken there.`,
		Example: "  rollcall send --app myapp --endpoint https://collector.example\n  rollcall send report.json --app myapp --endpoint https://collector.example",
		Args:    cobra.MaximumNArgs(1),
		RunE:    s.run,
	}
	s.reporting.add(cmd)
	addTimeout(cmd, &s.limit, 45*time.Second)
	addJSON(cmd, &s.asJSON)
	return cmd
}

type send struct {
	reporting reporting
	limit     time.Duration
	asJSON    bool
}

// sendOutput is the output of send --json.
type sendOutput struct {
	Sent   bool   `json:"sent"`
	Status int    `json:"status,omitempty"` // of HTTP; 0 when there was no answer
	Error  string `json:"error,omitempty"`
}

func (s *send) run(cmd *cobra.Command, args []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), s.limit)
	defer cancel()
	if len(args) == 0 {
		service, stop, err := s.reporting.started(cmd)
		if err != nil {
			return err
		}
		defer stop()
		return s.print(cmd, service.SendNow(ctx))
	}
	body, err := readReport(cmd.InOrStdin(), args[0])
	if err != nil {
		return err
	}
	service, err := s.reporting.service(cmd)
	if err != nil {
		return err
	}
	return s.print(cmd, service.Upload(ctx, body))
}

// readReport reads a file, or standard input for "-".
func readReport(stdin io.Reader, name string) ([]byte, error) {
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, withHint(err, "give a file that rollcall export wrote, or - for standard input")
		}
		defer file.Close()
		in = file
	}
	body, err := io.ReadAll(io.LimitReader(in, report.MaxHeartbeatBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	return body, nil
}

// print says how it went: errors of the collector with --json as data, and as an exit code in any case.
func (s *send) print(cmd *cobra.Command, err error) error {
	failed, answered := errors.AsType[*rollcall.SendError](err)
	if s.asJSON && (err == nil || answered) {
		o := sendOutput{Sent: err == nil}
		if answered {
			o.Status, o.Error = failed.Status, failed.Error()
		}
		if printErr := printJSON(cmd.OutOrStdout(), o); printErr != nil || err == nil {
			return printErr
		}
		return exitCode(exitError)
	}
	switch {
	case err == nil:
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "accepted by the collector")
		return err
	case errors.Is(err, rollcall.ErrWithheld):
		hint := "rollcall preview shows what would be sent; rollcall enable grants it"
		if s.reporting.hostVersion == "" {
			hint += ", and --host-version names the version to count"
		}
		return withHint(err, "%s", hint)
	case errors.Is(err, rollcall.ErrNoEndpoint):
		return withHint(err, "name one with --endpoint, and the host with --app")
	case errors.Is(err, rollcall.ErrNoID):
		return withHint(err, "rollcall doctor looks for the cause")
	}
	return err
}

func newExport() *cobra.Command {
	e := &export{}
	cmd := &cobra.Command{
		Use:   "export FILE",
		Short: "Write the heartbeat to a file, for a machine without a network",
		Long: `Write the heartbeat to FILE, or to standard output for -, with the bytes that would be sent. Carry it to a machine with a
network, and send it there with "rollcall send FILE". Telemetry has to be granted here. A FILE that exists is not
written over, unless with --force.`,
		Example: "  rollcall export report.json --app myapp",
		Args:    cobra.ExactArgs(1),
		RunE:    e.run,
	}
	e.reporting.add(cmd)
	cmd.Flags().BoolVar(&e.force, "force", false, "write over a file that exists")
	addTimeout(cmd, &e.limit, 10*time.Second)
	return cmd
}

type export struct {
	reporting reporting
	force     bool
	limit     time.Duration
}

func (e *export) run(cmd *cobra.Command, args []string) error {
	service, stop, err := e.reporting.started(cmd)
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := context.WithTimeout(cmd.Context(), e.limit)
	defer cancel()
	if d := service.Decisions(ctx); d.Telemetry.State != rollcall.Granted {
		return withHint(fmt.Errorf("%w: telemetry is %s", rollcall.ErrWithheld, words(d.Telemetry)),
			"rollcall preview shows what would be written; rollcall enable grants it")
	}
	made, err := service.Preview(ctx)
	if err != nil {
		return withHint(err, "rollcall doctor looks for the cause")
	}
	if args[0] == "-" {
		_, err = cmd.OutOrStdout().Write(made.Heartbeat)
		return err
	}
	return writeNew(args[0], made.Heartbeat, e.force)
}

func writeNew(name string, data []byte, force bool) error {
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(name, flag, 0o600)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("%s exists", name), "give another name, or --force")
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}
