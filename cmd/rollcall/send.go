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
		Long: `Send a heartbeat now, whether or not one is due, and print the collector's
answer. Telemetry has to be granted. The collector counts an installation once a
day, however often it reports.

With FILE, or - for standard input, send a heartbeat that "rollcall export"
wrote on a machine without a network, where telemetry was granted.`,
		Example: "  rollcall send --app myapp --endpoint https://collector.example\n  rollcall send report.json --app myapp --endpoint https://collector.example",
		Args:    cobra.MaximumNArgs(1),
		RunE:    s.run,
	}
	s.reporting.add(cmd)
	addTimeout(cmd, &s.limit, 45*time.Second)
	s.out.add(cmd)
	return cmd
}

type send struct {
	reporting reportingFlags
	limit     time.Duration
	out       output
}

// sendOutput is the output of send --json.
type sendOutput struct {
	Sent   bool   `json:"sent"`
	Status int    `json:"status,omitempty"` // of HTTP; 0 if there was no answer
	Error  string `json:"error,omitempty"`
}

func (s *send) run(cmd *cobra.Command, args []string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), s.limit)
	defer cancel()
	if len(args) == 0 {
		service, stop, err := s.reporting.start(cmd)
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

// readReport reads a file, or standard input if its name is "-".
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

// print prints the result of sending. With --json, a refusal is data
// too; the exit code is always set.
func (s *send) print(cmd *cobra.Command, err error) error {
	failed, answered := errors.AsType[*rollcall.SendError](err)
	switch {
	case err == nil:
		return s.out.printf(cmd, sendOutput{Sent: true}, "Accepted by the collector.\n")
	case answered && s.out.json:
		if err := printJSON(cmd.OutOrStdout(), sendOutput{Status: failed.Status, Error: failed.Error()}); err != nil {
			return err
		}
		return exitCode(exitError)
	case errors.Is(err, rollcall.ErrWithheld):
		hint := withheldHint
		if s.reporting.hostVersion == "" {
			hint += "; --host-version sets the version to count"
		}
		return withHint(err, "%s", hint)
	case errors.Is(err, rollcall.ErrNoEndpoint):
		return withHint(err, endpointHint)
	case errors.Is(err, rollcall.ErrNoID):
		return withHint(err, doctorHint)
	}
	return err
}
