package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/winservice"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// The exit codes, which doc.go describes.
const (
	exitOK      = 0
	exitError   = 1
	exitProblem = 2
	exitNotWell = 3
)

// The main goroutine keeps the main thread, and so does no file
// operation on it. Linux delivers a signal to the main thread first,
// even if that thread waits for a hung disk and cannot take it. Without
// this, an agent with --isolate=false would miss SIGTERM.
func init() { runtime.LockOSThread() }

func main() {
	rollcall.RunChild() // does not return in the child process that does the file work
	code, service := winservice.Run(func(ctx context.Context, stderr io.Writer) int {
		return run(ctx, os.Args[1:], os.Stdin, io.Discard, stderr)
	})
	if !service {
		code = run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	}
	os.Exit(code)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	fitHelp(root, stdout)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if code, ok := errors.AsType[exitCode](err); ok {
		return int(code)
	}
	printError(stderr, err)
	return exitError
}

func printError(w io.Writer, err error) {
	fmt.Fprintf(w, "rollcall: %v\n", err)
	if hinted, ok := errors.AsType[*hintedError](err); ok {
		fmt.Fprintf(w, "  hint: %s\n", hinted.hint)
	}
}

// An exitCode ends a command whose output needs no error message.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// A hintedError is an error with advice on what to do next.
type hintedError struct {
	error
	hint string
}

func (e *hintedError) Unwrap() error { return e.error }

func withHint(err error, format string, args ...any) error {
	return &hintedError{err, fmt.Sprintf(format, args...)}
}

// untilSignal returns a context that ends with the first SIGINT or
// SIGTERM. After that the process exits within the limit, unless done
// is called, and at once on a second signal.
func untilSignal(parent context.Context, limit time.Duration) (ctx context.Context, done func()) {
	ctx, release := signal.NotifyContext(parent, os.Interrupt, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case <-ctx.Done():
		case <-over:
			return
		}
		release() // so that a second signal kills the process
		select {
		case <-time.After(limit):
			os.Exit(exitOK)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		release()
	}
}

// docSource contains the package comment, which is also the help text.
//
//go:embed doc.go
var docSource string

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "rollcall",
		Short:         "An anonymous installation ID that never hangs its host",
		Long:          helpText(docSource),
		Version:       versionLine(),
		Args:          verbOnly,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true, // run prints them
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return applyEnvironment(cmd.Flags())
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
			if similar := similarFlag(cmd, unknown.GetSpecifiedName()); similar != "" {
				return withHint(err, "did you mean --%s?", similar)
			}
		}
		return withHint(err, "%s --help lists the flags", cmd.CommandPath())
	})
	root.AddCommand(newAgent(), newPage(), newID(), newStatus(), newDoctor(), newReset(), newVersion(),
		newEnable(), newDisable(), newPreview(), newPrivacy(), newSend(), newExport(), newForget(),
		newUp(), newCollector(), newSimulate(), newLicenses(), newMan())
	return root
}

// helpText returns the package comment of a Go file as plain text.
func helpText(source string) string {
	var text strings.Builder
	for line := range strings.Lines(source) {
		comment, ok := strings.CutPrefix(line, "//")
		if !ok {
			break
		}
		comment = strings.TrimPrefix(comment, " ")
		text.WriteString(strings.Replace(comment, "\t", "  ", 1))
	}
	return strings.TrimSpace(text.String())
}

// verbOnly refuses unknown verbs, and suggests a similar one.
func verbOnly(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := fmt.Errorf("unknown command %q", args[0])
	if cmd.SuggestionsMinimumDistance <= 0 {
		cmd.SuggestionsMinimumDistance = 2
	}
	if similar := cmd.SuggestionsFor(args[0]); len(similar) > 0 {
		return withHint(err, "did you mean %q?", similar[0])
	}
	return withHint(err, "%s --help lists the commands", cmd.CommandPath())
}

// similarFlag returns the flag of cmd whose name is nearest to name, or "" if
// none is near.
func similarFlag(cmd *cobra.Command, name string) string {
	if len(name) < 2 { // a shorthand, or a slip of the finger
		return ""
	}
	// The command line library suggests commands; ask it about the flags.
	names := &cobra.Command{SuggestionsMinimumDistance: 2}
	cmd.Flags().VisitAll(func(flag *pflag.Flag) {
		if !flag.Hidden {
			names.AddCommand(&cobra.Command{Use: flag.Name, Run: func(*cobra.Command, []string) {}})
		}
	})
	if similar := names.SuggestionsFor(name); len(similar) > 0 {
		return similar[0]
	}
	return ""
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("unexpected argument %q", args[0]), "%s takes only flags; see %[1]s --help", cmd.CommandPath())
}

// oneArgument requires one argument; what names it in an error.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		err := fmt.Errorf("%s is missing", what)
		if len(args) > 1 {
			err = fmt.Errorf("unexpected argument %q", args[1])
		}
		return withHint(err, "the usage is: %s", cmd.UseLine())
	}
}
