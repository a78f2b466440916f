package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

func newPreview() *cobra.Command {
	p := &preview{}
	cmd := &cobra.Command{
		Use:   "preview",
		Short: "Print what would be sent, byte for byte",
		Long: `Print the heartbeat that would be sent now, made by the code that sends it, byte for byte and without a line end; only
the time in it, sent_at, will be another. With --explain, print each field with its value and the reason why it is sent.

It needs neither consent nor a network, and changes nothing: where no ID is stored, ` + rollcall.PreviewID + `
stands in its place.`,
		Example: "  rollcall preview\n  rollcall preview --explain",
		Args:    noArguments,
		RunE:    p.run,
	}
	p.reporting.add(cmd)
	cmd.Flags().BoolVar(&p.explain, "explain", false, "print each field with its reason")
	addTimeout(cmd, &p.limit, 10*time.Second)
	addJSON(cmd, &p.asJSON)
	return cmd
}

type preview struct {
	reporting reporting
	explain   bool
	limit     time.Duration
	asJSON    bool
}

// previewOutput is the output of preview --json.
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
	service, err := p.reporting.service(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), p.limit)
	defer cancel()
	made, err := service.Preview(ctx)
	if err != nil {
		return withHint(err, "rollcall doctor looks for the cause")
	}
	out := cmd.OutOrStdout()
	switch {
	case p.asJSON:
		err = printJSON(out, p.output(made))
	case p.explain:
		err = printExplained(out, made.Fields)
	default:
		_, err = out.Write(made.Heartbeat)
	}
	if err == nil && made.Withheld != "" && !p.asJSON {
		fmt.Fprintf(cmd.ErrOrStderr(), "\nNothing is sent at present: %s.\n", made.Withheld)
	}
	return err
}

func (p *preview) output(made rollcall.Preview) previewOutput {
	o := previewOutput{Heartbeat: made.Heartbeat, Withheld: made.Withheld, WithoutID: made.WithoutID}
	if p.explain {
		for _, f := range made.Fields {
			o.Fields = append(o.Fields, explainedField{f.Name, json.RawMessage(f.Value), f.Since, f.Bound, f.Reason})
		}
	}
	return o
}

func printExplained(w io.Writer, fields []rollcall.ExplainedField) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "FIELD\tVALUE\tREASON")
	for _, f := range fields {
		value := f.Value
		if value == "" {
			value = "(not sent)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Name, value, f.Reason)
	}
	return table.Flush()
}
