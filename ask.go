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

// The bounds of a question to the operator.
const (
	DefaultAskTimeout = 30 * time.Second
	MaxAskTimeout     = 5 * time.Minute
)

const askQuestion = `May this program send one small anonymous report a day to its authors?
What it holds and how to switch it off: see the program's page on telemetry. [y/N] `

// AskOptions say how an operator is asked.
type AskOptions struct {
	// Question is what is asked, in the host's own words; empty is a short question in English.
	Question string
	// Timeout bounds the wait for an answer; 0 is DefaultAskTimeout, at most MaxAskTimeout.
	Timeout time.Duration
}

// AskConsent asks the operator about telemetry, if that is not decided yet and if there is somebody to ask: on standard
// error, and only when that and standard input are terminals. In a pipe, in CI, while a container is built and in a
// service nobody is asked. It returns what holds then.
//
// Only yes or no is an answer. Yes grants and no denies, and either is saved; a denial is for good, and is not asked
// about again. Anything else, and silence, decides nothing. It waits no longer than ctx and the timeout, and takes no
// input but the answer. On Windows nobody is asked. Call it before Start, which makes a config that is missing, with
// telemetry switched off in it.
func (s *Service) AskConsent(ctx context.Context, opts AskOptions) (Consent, error) {
	if s == nil {
		return Unset, nil
	}
	decided := s.Decisions(ctx).Telemetry.State
	if decided != Unset || s.config.Consent.Load != nil || !canAsk(os.Getenv, os.Stdin, os.Stderr) {
		return decided, nil
	}
	if opts.Timeout < 0 || opts.Timeout > MaxAskTimeout {
		return decided, fmt.Errorf("ask for consent: Timeout: %v is not between 1ns and %v", opts.Timeout, MaxAskTimeout)
	}
	return s.ask(ctx, opts, os.Stdin, os.Stderr)
}

func (s *Service) ask(ctx context.Context, opts AskOptions, in, out *os.File) (Consent, error) {
	limited, cancel := context.WithTimeout(ctx, cmp.Or(opts.Timeout, DefaultAskTimeout))
	defer cancel()
	fmt.Fprint(out, cmp.Or(opts.Question, askQuestion))
	answer, err := terminal.ReadLine(limited, in)
	if err != nil {
		fmt.Fprintln(out) // no answer
		return Unset, nil
	}
	granted, isAnswer := parseAnswer(answer)
	if !isAnswer {
		return Unset, nil
	}
	if err := s.SetConsent(ctx, granted); err != nil {
		return Unset, err
	}
	return s.Decisions(ctx).Telemetry.State, nil
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

// canAsk tells whether there is somebody to ask.
func canAsk(getenv func(string) string, in, out *os.File) bool {
	return consent.CIMarker(getenv) == "" && getenv("DEBIAN_FRONTEND") != "noninteractive" && terminal.Is(in) && terminal.Is(out)
}
