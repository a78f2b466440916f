package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/note"
	"github.com/spf13/cobra"
)

func newCollectorNote() *cobra.Command {
	return group(&cobra.Command{
		Use:   "note",
		Short: "Put notes on the time axes of an app's charts",
		Long: `Put notes on the time axes of an app's charts: a day, and what happened on it.
Only readers with a token see them. An app can have 200 notes.`,
	}, newNoteAdd(), newNoteList(), newNoteRemove())
}

func newNoteAdd() *cobra.Command {
	var out output
	var added note.Note
	var date string
	cmd := clientVerb(with(&cobra.Command{
		Use:   "add APP TEXT",
		Short: "Add a note, and print its number",
		Long: `Add a note of at most 200 characters, and print its number. Adding the same text to
the same day again changes nothing.`,
		Example: "  rollcall collector note add myapp \"Talk at a conference\"\n" +
			"  rollcall collector note add myapp \"New download mirror\" --date 2026-05-06",
		Args: func(cmd *cobra.Command, args []string) error { return noteArgs(cmd, args, "a text in quotes") },
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) (err error) {
		added.Text = strings.TrimSpace(args[1])
		if date != "" {
			if added.Day, err = collector.ParseDay(date); err != nil {
				return err
			}
		}
		if err := added.Validate(); err != nil {
			return err
		}
		if added, err = client.AddNote(cmd.Context(), args[0], added); err != nil {
			if errors.Is(err, note.ErrTooMany) {
				return withHint(err, "remove one with rollcall collector note remove")
			}
			return err
		}
		return out.printf(cmd, added, "%d\n", added.ID)
	})
	cmd.Flags().StringVar(&date, "date", "", "`DAY` it is about, such as 2026-05-06; the default is today")
	return cmd
}

func newNoteList() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:     "list APP",
		Short:   "List the notes of an app, the earliest day first",
		Example: "  rollcall collector note list myapp",
		Args:    oneArgument("the key of the app"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		notes, err := client.Notes(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return out.print(cmd, append([]note.Note{}, notes...), func(w io.Writer) error { // never null
			table := newTable(w)
			fmt.Fprintln(table, "NUMBER\tDAY\tTEXT")
			for _, n := range notes {
				fmt.Fprintf(table, "%d\t%s\t%s\n", n.ID, n.Day, n.Text)
			}
			return table.Flush()
		})
	})
}

func newNoteRemove() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:     "remove APP NUMBER",
		Short:   "Remove a note",
		Example: "  rollcall collector note remove myapp 3",
		Args:    func(cmd *cobra.Command, args []string) error { return noteArgs(cmd, args, "the number of a note") },
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		const hint = "rollcall collector note list shows them"
		id, err := strconv.Atoi(args[1])
		if err != nil {
			return withHint(fmt.Errorf("%q is not the number of a note", args[1]), hint)
		}
		if err = client.RemoveNote(cmd.Context(), args[0], id); errors.Is(err, note.ErrNone) {
			return withHint(err, hint)
		}
		return err
	})
}

func noteArgs(cmd *cobra.Command, args []string, second string) error {
	if len(args) != 2 {
		return withHint(fmt.Errorf("got %d arguments, want the key of the app and %s", len(args), second), "the usage is: %s", cmd.UseLine())
	}
	return nil
}
