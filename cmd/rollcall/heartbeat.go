package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

func newSend() *cobra.Command {
	s := &send{limit: timeout(45 * time.Second)}
	return with(&cobra.Command{
		Use:   "send [FILE]",
		Short: "Send a heartbeat now",
		Long: `Send a heartbeat now, whether or not one is due, and print the collector's
answer. Telemetry has to be granted. The collector counts an installation once a
day, however often it reports.

With FILE, or - for standard input, send a heartbeat that "rollcall export"
wrote on a machine without a network, where telemetry was granted. It counts on
the day that it was written, if that is one of the last 30 and the collector knew
the installation then; otherwise today.`,
		Example: "  rollcall send --app myapp --endpoint https://collector.example\n  rollcall send report.json --app myapp --endpoint https://collector.example",
		Args:    cobra.MaximumNArgs(1),
		RunE:    s.run,
	}, &s.reporting, &s.limit, &s.out)
}

type send struct {
	reporting reportingFlags
	limit     timeout
	out       output
}

type sendOutput struct {
	Sent   bool   `json:"sent"`
	Status int    `json:"status,omitempty"` // of HTTP; 0 if there was no answer
	Error  string `json:"error,omitempty"`
	State  string `json:"state,omitempty"` // where it was recorded
}

func (s *send) run(cmd *cobra.Command, args []string) error {
	ctx, cancel := s.limit.context(cmd)
	defer cancel()
	if len(args) == 0 {
		service, stop, err := s.reporting.start(cmd)
		if err != nil {
			return err
		}
		defer stop()
		return s.print(cmd, service, service.Files().State, service.SendNow(ctx))
	}
	body, err := readInput(cmd, args[0], "rollcall export", report.MaxHeartbeatBytes)
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	service, err := s.reporting.newService(cmd)
	if err != nil {
		return err
	}
	return s.print(cmd, service, "", service.Upload(ctx, body)) // which another installation recorded
}

// print prints the result of sending, which is recorded in the state file. With --json, a refusal is data
// too; the exit code is always set.
func (s *send) print(cmd *cobra.Command, service *rollcall.Service, state string, err error) error {
	failed, answered := errors.AsType[*rollcall.SendError](err)
	switch {
	case err == nil:
		return s.out.print(cmd, sendOutput{Sent: true, State: state}, func(w io.Writer) error {
			_, err := fmt.Fprintln(w, "Accepted by the collector.")
			if err == nil {
				err = printPairs(w, "recorded in", state)
			}
			return err
		})
	case answered && s.out.json:
		if err := printJSON(cmd.OutOrStdout(), sendOutput{Status: failed.Status, Error: failed.Error()}); err != nil {
			return err
		}
		return exitCode(exitError)
	case errors.Is(err, rollcall.ErrWithheld):
		return withHint(err, "%s", withheldHint(err, service.Status().Consent))
	case errors.Is(err, rollcall.ErrNoEndpoint):
		return withHint(err, endpointHint)
	case errors.Is(err, rollcall.ErrNoID):
		return withHint(err, doctorHint)
	}
	return err
}

// withheldHint says what to change so that reports are sent.
func withheldHint(err error, d rollcall.Decision) string {
	change := "rollcall enable grants it"
	notCounted, ok := errors.AsType[*rollcall.NotCountedError](err)
	switch {
	case ok && notCounted.Variable == "" && notCounted.Development:
		change = "--host-version, or the host with PUT /v1/host, sets the version to count; --report-development reports this one"
	case ok:
		change = "--report-development reports from here too"
	case d.Source.Kind == rollcall.SourcePolicy:
		change = "policy file " + d.Source.Name + " takes precedence over rollcall enable"
	case d.Source.Kind == rollcall.SourceEnvironment:
		change = "variable " + d.Source.Name + " takes precedence over rollcall enable"
	}
	return "rollcall preview shows what would be sent; " + change
}

func newExport() *cobra.Command {
	e := &export{limit: timeout(10 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "export FILE",
		Short: "Write the heartbeat to a file, for a machine without a network",
		Long: `Write the heartbeat to FILE, or to standard output for -, with the bytes that
would be sent. Take it to a machine with a network and send it there with
"rollcall send FILE". Telemetry has to be granted here. An existing FILE is
replaced only with --force.`,
		Example: "  rollcall export report.json --app myapp",
		Args:    cobra.ExactArgs(1),
		RunE:    e.run,
	}, &e.reporting, &e.limit)
	cmd.Flags().BoolVar(&e.force, "force", false, "replace an existing file")
	return cmd
}

type export struct {
	reporting reportingFlags
	force     bool
	limit     timeout
}

func (e *export) run(cmd *cobra.Command, args []string) error {
	service, stop, err := e.reporting.start(cmd)
	if err != nil {
		return err
	}
	defer stop()
	ctx, cancel := e.limit.context(cmd)
	defer cancel()
	if d := service.Decisions(ctx); d.Telemetry.State != rollcall.Granted {
		return withHint(fmt.Errorf("%w: telemetry is %s", rollcall.ErrWithheld, describe(d.Telemetry)), "%s", withheldHint(nil, d.Telemetry))
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

// writeFile replaces an existing file only with force.
func writeFile(name string, data []byte, force bool) error {
	flag := os.O_WRONLY | os.O_CREATE | os.O_EXCL
	if force {
		flag = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	}
	file, err := os.OpenFile(name, flag, 0o600)
	if errors.Is(err, os.ErrExist) {
		return withHint(fmt.Errorf("%s exists", name), "choose another name, or use --force")
	}
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	return errors.Join(err, file.Close())
}

func newPreview() *cobra.Command {
	p := &preview{limit: timeout(10 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "preview",
		Short: "Print what would be sent, byte for byte",
		Long: `Print the heartbeat that would be sent now, as the same code would send it, byte
for byte and without a line end. Only the timestamp, sent_at, will differ.
--explain prints each field with its value and the reason for sending it.

A preview needs neither consent nor a network, and changes nothing. If no ID is
stored, it shows the ID ` + rollcall.PreviewID + ` instead.`,
		Example: "  rollcall preview\n  rollcall preview --explain",
		Args:    noArguments,
		RunE:    p.run,
	}, &p.reporting, &p.limit, &p.out)
	cmd.Flags().BoolVar(&p.explain, "explain", false, "print each field with its reason")
	return cmd
}

// notSent says why a field has no value, as far as that is known.
func notSent(f rollcall.ExplainedField) string {
	if f.LeftOut != "" {
		return "(not sent: " + f.LeftOut + ")"
	}
	return "(not sent)"
}

type preview struct {
	reporting reportingFlags
	explain   bool
	limit     timeout
	out       output
}

func (p *preview) run(cmd *cobra.Command, _ []string) error {
	service, err := p.reporting.newService(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := p.limit.context(cmd)
	defer cancel()
	made, err := service.Preview(ctx)
	if err != nil {
		return withHint(err, doctorHint)
	}
	err = p.out.print(cmd, agent.NewPreview(made, p.explain), func(w io.Writer) error {
		if !p.explain {
			_, err := w.Write(made.Heartbeat)
			return err
		}
		table := newTable(w)
		fmt.Fprintln(table, "FIELD\tVALUE\tREASON")
		for _, f := range made.Fields {
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, cmp.Or(f.Value, notSent(f)), f.Reason)
		}
		if err := table.Flush(); err != nil || made.UpdateRequest == "" {
			return err
		}
		_, err := fmt.Fprintf(w, "\nThe update check asks once a day, with no body:\n%s\n", made.UpdateRequest)
		return err
	})
	if err == nil && made.Withheld != "" && !p.out.json {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nNothing is sent at present: %s.\n", made.Withheld)
	}
	if err == nil && p.explain && made.UpdateWithheld != "" && !p.out.json {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nNo newer release is asked for at present: %s.\n", made.UpdateWithheld)
	}
	return err
}
