package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/spf13/cobra"
)

func newPreview() *cobra.Command {
	p := &preview{limit: timeout(10 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "preview",
		Short: "Print what would be sent, byte for byte",
		Long: `Print the heartbeat that would be sent now, as the same code would send it, byte
for byte and without a line end. Only the timestamp, sent_at, will differ.
--explain prints each field with its value and the reason for sending it.

A preview needs neither consent nor a network, and changes nothing. If no ID is
stored, it shows the ID` + rollcall.PreviewID + ` instead.`,
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
