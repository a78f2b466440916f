package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/shm"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

// importSHM imports an application of a dump of SHM's database.
func importSHM(cmd *cobra.Command, data *dataDirFlag, out *output, app, file, application string) error {
	in, err := openInput(cmd, file, "pg_dump")
	if err != nil {
		return err
	}
	defer in.Close()
	dump, err := shm.Read(cmd.Context(), in)
	if err != nil {
		err = fmt.Errorf("read %s: %w", file, err)
		if errors.Is(err, shm.ErrInvalid) || errors.Is(err, shm.ErrNotDump) {
			return withHint(err, "give what pg_dump wrote of SHM's database in plain SQL, which is its default")
		}
		return err
	}
	defer dump.Close()
	chosen, err := dump.Choose(cmd.Context(), application)
	if _, ok := errors.AsType[*shm.ChoiceError](err); ok {
		return withHint(err, "name one of them with --application")
	}
	if err != nil {
		return err
	}
	var summary shm.Summary
	err = importHistory(cmd, data, out, app, func(ctx context.Context, w io.Writer) (err error) {
		id := func(instance string) string { return installid.FromLegacy(shm.Namespace, instance).String() }
		summary, err = dump.WriteHistory(ctx, chosen, app, id, w)
		return err
	})
	if err != nil {
		return err
	}
	reportSHM(cmd.ErrOrStderr(), summary)
	return nil
}

// reportSHM prints what was not imported as it was.
func reportSHM(w io.Writer, s shm.Summary) {
	if s.Orphans > 0 {
		fmt.Fprintf(w, "Snapshots of instances that are not in the dump: %d.\n", s.Orphans)
	}
	if s.Undated > 0 {
		fmt.Fprintf(w, "Instances without a day: %d.\n", s.Undated)
	}
	if s.Moved > 0 {
		fmt.Fprintf(w, "Snapshots with a wrong date, counted on the nearest possible day: %d.\n", s.Moved)
	}
	if n := len(s.LeftOut); n > 0 {
		const most = 10
		names := make([]string, 0, most)
		for _, name := range s.LeftOut[:min(n, most)] {
			names = append(names, fmt.Sprintf("%q", name))
		}
		text := strings.Join(names, ", ")
		if n > most {
			text += fmt.Sprintf(", and %d more", n-most)
		}
		fmt.Fprintf(w, "Metrics with values that cannot be facts: %s.\n", text)
	}
}
