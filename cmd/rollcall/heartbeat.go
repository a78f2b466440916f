package main

import (
	"cmp"
	"encoding/json"
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
	s := &send{limit: timeout(45 * time.Second)}
	return with(&cobra.Command{
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
		return s.print(cmd, service.SendNow(ctx))
	}
	in, err := openInput(cmd, args[0], "rollcall export")
	if err != nil {
		return err
	}
	defer in.Close()
	body, err := io.ReadAll(io.LimitReader(in, report.MaxHeartbeatBytes+1))
	if err != nil {
		return fmt.Errorf("read report: %w", err)
	}
	service, err := newService(cmd, &s.reporting)
	if err != nil {
		return err
	}
	return s.print(cmd, service.Upload(ctx, body))
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

const withheldHint = "rollcall preview shows what would be sent; rollcall enable grants it"

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

// writeFile replaces an existing file only with force.
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

type preview struct {
	reporting reportingFlags
	explain   bool
	limit     timeout
	out       output
}

type previewOutput struct {
	Heartbeat json.RawMessage  `json:"heartbeat"`
	Withheld  string           `json:"withheld,omitempty"`
	WithoutID bool             `json:"without_id"`
	Fields    []explainedField `json:"fields,omitempty"`
}

type explainedField struct {
	Name   string          `json:"name"`
	Value  json.RawMessage `json:"value,omitempty"`
	Since  int             `json:"since"`
	Bound  string          `json:"bound,omitempty"`
	Reason string          `json:"reason"`
}

func (p *preview) run(cmd *cobra.Command, _ []string) error {
	service, err := newService(cmd, &p.reporting)
	if err != nil {
		return err
	}
	ctx, cancel := p.limit.context(cmd)
	defer cancel()
	made, err := service.Preview(ctx)
	if err != nil {
		return withHint(err, doctorHint)
	}
	result := previewOutput{Heartbeat: made.Heartbeat, Withheld: made.Withheld, WithoutID: made.WithoutID}
	if p.explain {
		for _, f := range made.Fields {
			result.Fields = append(result.Fields, explainedField{f.Name, json.RawMessage(f.Value), f.Since, f.Bound, f.Reason})
		}
	}
	err = p.out.print(cmd, result, func(w io.Writer) error {
		if !p.explain {
			_, err := w.Write(made.Heartbeat)
			return err
		}
		table := newTable(w)
		fmt.Fprintln(table, "FIELD\tVALUE\tREASON")
		for _, f := range made.Fields {
			fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, cmp.Or(f.Value, "(not sent)"), f.Reason)
		}
		return table.Flush()
	})
	if err == nil && made.Withheld != "" && !p.out.json {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nNothing is sent at present: %s.\n", made.Withheld)
	}
	return err
}
