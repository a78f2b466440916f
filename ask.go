package rollcall

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/internal/consent"
	"github.com/rollcall-dev/rollcall/internal/terminal"
)

// The default and the upper bound of [AskOptions.Timeout].
const (
	DefaultAskTimeout = 30 * time.Second
	MaxAskTimeout     = 5 * time.Minute
)

// askSaveTimeout bounds the wait for an answer to be saved.
const askSaveTimeout = 10 * time.Second

const (
	askQuestion = `May this program send one small anonymous report a day to its authors?
What it holds and how to switch it off: see the program's page on telemetry. [y/N] `

	askUpdateQuestion = `May this program ask its authors once a day whether there is a newer version?
It says nothing about itself or this machine. [y/N] `
)

// AskOptions configure [Service.AskConsent] and [Service.AskUpdateConsent].
type AskOptions struct {
	// Question is the question in the host's own words; empty means a short
	// one in English.
	Question string
	// Timeout bounds the wait for an answer; 0 means DefaultAskTimeout. At
	// most MaxAskTimeout.
	Timeout time.Duration
}

// AskConsent asks the operator about telemetry, on standard error, if that is
// undecided and if standard input and standard error are terminals. It asks
// nobody in a pipe, in CI, while a container is built, in a service, in the
// background of a shell, and on Windows, nor for a host that has Consent.Load
// without Save, whose settings alone can grant. It returns the decision that
// holds afterwards.
//
// Only yes and no are answers: yes grants, no denies, and both are saved. A
// denial is final and nobody is asked again. Anything else, and silence,
// decides nothing. AskConsent waits no longer than ctx, nor than the timeout for
// an answer and ten seconds to save it, and consumes no input except the answer.
// Call it before Start, which creates a missing config, with telemetry switched
// off in it.
func (s *Service) AskConsent(ctx context.Context, opts AskOptions) (Consent, error) {
	if s == nil {
		return Unset, nil
	}
	return s.askIfUnset(ctx, aboutTelemetry, opts)
}

// AskUpdateConsent asks about the update check, as [Service.AskConsent] asks
// about telemetry. It asks nobody if the host has no update check.
func (s *Service) AskUpdateConsent(ctx context.Context, opts AskOptions) (Consent, error) {
	if s.noUpdates() != nil {
		return Unset, nil
	}
	return s.askIfUnset(ctx, aboutUpdates, opts)
}

// A question is one that an operator can be asked, with its usual words.
type question struct {
	text    string
	decided func(Decisions) Decision
	save    func(s *Service, ctx context.Context, granted bool) error
}

var (
	aboutTelemetry = question{askQuestion, func(d Decisions) Decision { return d.Telemetry }, (*Service).SetConsent}
	aboutUpdates   = question{askUpdateQuestion, func(d Decisions) Decision { return d.UpdateCheck }, (*Service).SetUpdateConsent}
)

func (s *Service) askIfUnset(ctx context.Context, q question, opts AskOptions) (Consent, error) {
	decided := q.decided(s.Decisions(ctx)).State
	if decided != Unset || s.config.Consent.Load != nil && s.config.Consent.Save == nil || !canAsk(os.Getenv, os.Stdin, os.Stderr) {
		return decided, nil
	}
	if opts.Timeout < 0 || opts.Timeout > MaxAskTimeout {
		return decided, fmt.Errorf("ask for consent: Timeout: %v is not between 1ns and %v", opts.Timeout, MaxAskTimeout)
	}
	return s.ask(ctx, q, opts, os.Stdin, os.Stderr)
}

func (s *Service) ask(ctx context.Context, q question, opts AskOptions, in, out *os.File) (Consent, error) {
	limited, cancel := context.WithTimeout(ctx, cmp.Or(opts.Timeout, DefaultAskTimeout))
	defer cancel()
	fmt.Fprint(out, cmp.Or(opts.Question, q.text))
	answer, err := terminal.ReadLine(limited, in)
	if err != nil {
		fmt.Fprintln(out) // no answer
		return Unset, nil
	}
	granted, isAnswer := parseAnswer(answer)
	if !isAnswer {
		return Unset, nil
	}
	ctx, cancel = context.WithTimeout(ctx, askSaveTimeout)
	defer cancel()
	if err := q.save(s, OrderedBy(ctx, "answer at the terminal"), granted); err != nil {
		return Unset, err
	}
	return q.decided(s.Decisions(ctx)).State, nil
}

func parseAnswer(answer string) (granted, ok bool) {
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return true, true
	case "n", "no":
		return false, true
	}
	return false, false
}

// canAsk reports whether there is somebody to ask.
func canAsk(getenv func(string) string, in, out *os.File) bool {
	return consent.CIMarker(getenv) == "" && getenv("DEBIAN_FRONTEND") != "noninteractive" && terminal.Is(in) && terminal.Is(out)
}
