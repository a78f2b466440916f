package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/rollcall-dev/rollcall/internal/flight"
)

type output struct{ json bool }

func (o *output) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
}

// print prints value as JSON, or else lets text print.
func (o *output) print(cmd *cobra.Command, value any, text func(io.Writer) error) error {
	if o.json {
		return printJSON(cmd.OutOrStdout(), value)
	}
	return text(cmd.OutOrStdout())
}

// printf prints value as JSON, or else a formatted text.
func (o *output) printf(cmd *cobra.Command, value any, format string, args ...any) error {
	return o.print(cmd, value, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, format, args...)
		return err
	})
}

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// printPairs prints names and values, but no pair without a value.
func printPairs(w io.Writer, pairs ...string) error {
	table := newTable(w)
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(table, "%s\t%s\n", pairs[i], pairs[i+1])
		}
	}
	return table.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// openInput opens a file, or standard input if its name is "-".
func openInput(cmd *cobra.Command, name, writtenBy string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, withHint(err, "name a file that %s wrote, or - for standard input", writtenBy)
	}
	return file, nil
}

// inputTimeout bounds reading an input file, which may be a pipe or on a hung disk.
const inputTimeout = 10 * time.Second

// readInput reads a file, or standard input if name is "-". It returns an error
// if the input has more than most bytes.
func readInput(cmd *cobra.Command, name, writtenBy string, most int64) ([]byte, error) {
	read := func(context.Context) ([]byte, error) {
		in, err := openInput(cmd, name, writtenBy)
		if err != nil {
			return nil, err
		}
		defer in.Close()
		data, err := io.ReadAll(io.LimitReader(in, most+1))
		if err == nil && int64(len(data)) > most {
			err = fmt.Errorf("%s is larger than %d bytes", name, most)
		}
		return data, err
	}
	if name == "-" {
		return read(cmd.Context())
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), inputTimeout)
	defer cancel()
	return flight.Do(ctx, new(flight.Flight), "read "+name, read)
}

// confirm asks a question on the terminal, unless --yes answers it. The
// default answer is no.
func (y yesFlag) confirm(cmd *cobra.Command, question string) error {
	if y {
		return nil
	}
	in, out := cmd.InOrStdin(), cmd.ErrOrStderr()
	needYes := withHint(fmt.Errorf("%s not confirmed", cmd.Name()), "use --yes where there is no terminal to ask on")
	if !isTerminal(in) {
		return needYes
	}
	fmt.Fprintf(out, "%s [y/N] ", question)
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && line == "" {
		fmt.Fprintln(out)
		return needYes
	}
	if answer := strings.ToLower(strings.TrimSpace(line)); answer == "y" || answer == "yes" {
		return nil
	}
	return errors.New("nothing changed")
}

// isTerminal reports whether somebody may be there to answer. The null
// device looks like a terminal too, but reading from it fails.
func isTerminal(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
