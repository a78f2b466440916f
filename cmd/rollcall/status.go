package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/report"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	s := &status{limit: timeout(5 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "status",
		Short: "Show the status of the agent and its ID",
		Long: `Ask the running agent for its status: the ID, whether and where it is persisted,
the last error, the consent, and a newer release. If no agent answers, show what is stored on
disk, and change nothing.

The exit code is 0 if an agent is running and its ID is settled and persisted; 3
if the ID is not settled, or only in memory, or if no agent answers; and 1 after
an error. An ID on a disk that may not last, such as a container's own layer,
counts as one in memory until it has survived 30 days.

With --alive, an ID in memory is only a warning. Use that for the health check
of a container: replacing the container would only make another ID.`,
		Example: "  rollcall status\n  rollcall status --alive\n  rollcall status --agent http://127.0.0.1:9000 --json",
		Args:    noArguments,
		RunE:    s.run,
	}, &s.storage, &s.limit, &s.out)
	addFlag(cmd.Flags(), textValue(&s.agent, "URL", ""), "agent",
		"URL of the agent, or unix:PATH; by default that of ROLLCALL_LISTEN, or else http://"+defaultListen)
	cmd.Flags().BoolVar(&s.alive, "alive", false, "succeed with an ID in memory too, with a warning")
	return cmd
}

type status struct {
	storage storageFlags
	agent   string
	alive   bool
	limit   timeout
	out     output
}

// runningStatus is the output of status --json if an agent answers: its
// whole reply, and where it was asked.
type runningStatus struct {
	agent.Reply
	address string
}

// MarshalJSON puts two members before those of the agent's reply.
func (st runningStatus) MarshalJSON() ([]byte, error) {
	own, err := json.Marshal(struct {
		Running bool   `json:"running"`
		Agent   string `json:"agent"`
	}{true, st.address})
	if err != nil {
		return nil, err
	}
	rest, _ := bytes.CutPrefix(bytes.TrimSpace(st.Raw), []byte("{"))
	return slices.Concat(bytes.TrimSuffix(own, []byte("}")), []byte(","), rest), nil
}

type storedStatus struct {
	Running   bool              `json:"running"`
	Agent     string            `json:"agent"`
	Problem   string            `json:"problem"`
	Persisted bool              `json:"persisted"`
	ID        installid.ID      `json:"installation_id"`
	Place     string            `json:"place"`
	Consent   rollcall.Decision `json:"consent"`
	Health    rollcall.Decision `json:"health"`
	Updates   rollcall.Decision `json:"update_check"`
	Reason    string            `json:"reason,omitempty"`
}

func (s *status) run(cmd *cobra.Command, _ []string) error {
	service, err := s.storage.newService(cmd)
	if err != nil { // a mistake in the flags
		return err
	}
	address := cmp.Or(s.agent, agentURL(agentAddresses()))
	reply, noAnswer := s.ask(cmd, address)
	if noAnswer == nil {
		st := runningStatus{reply, address}
		if err := s.out.print(cmd, st, st.print); err != nil || st.Settled && st.Persisted {
			return err
		}
		if s.alive && st.Settled {
			fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: warning: the installation ID is only in memory: %s\n", st.Reason)
			return nil
		}
		return exitCode(exitNotWell)
	}
	stored, err := s.storage.stored(cmd, s.limit)
	if err != nil {
		return err
	}
	ctx, cancel := s.limit.context(cmd)
	defer cancel()
	decisions := service.Decisions(ctx)
	st := storedStatus{
		Agent: address, Problem: noAnswer.Error(),
		Persisted: !stored.ID.IsZero() && stored.Doubt == "", ID: stored.ID, Place: stored.Place, Reason: stored.Doubt,
		Consent: decisions.Telemetry, Health: decisions.Health, Updates: decisions.UpdateCheck,
	}
	if err := s.out.print(cmd, st, st.print); err != nil {
		return err
	}
	return exitCode(exitNotWell)
}

func (s *status) ask(cmd *cobra.Command, address string) (agent.Reply, error) {
	if address == "" {
		return agent.Reply{}, errors.New("its local server is off")
	}
	ctx, cancel := s.limit.context(cmd)
	defer cancel()
	return agent.Ask(ctx, address)
}

func (st runningStatus) print(w io.Writer) error {
	uptime := time.Duration(st.UptimeSeconds * float64(time.Second)).Round(time.Second)
	return printPairs(w,
		"agent", fmt.Sprintf("running at %s for %v, version %s", st.address, uptime, st.Version),
		"installation ID", st.ID.String(),
		"settled", paintYes(w, st.Settled),
		"persisted", paintYes(w, st.Persisted),
		"place", st.Place,
		"reason", st.Reason,
		"last error", paint(w, red, failure(st.LastError, st.LastErrorTime)),
		"operation in progress", withTime(st.Stuck, st.StuckSince),
		"attempts", strconv.Itoa(st.Attempts),
		"next attempt", withTime("", st.NextTry),
		"consent", describe(st.Consent),
		"health reports", describeHealth(st.Reporting.Health, st.Consent),
		"collector", st.Reporting.Endpoint,
		"not sending", st.Reporting.Withheld,
		"last heartbeat", withTime("", st.Reporting.LastSuccess),
		"last failure", paint(w, red, failure(st.Reporting.LastError, st.Reporting.LastAttempt)),
		"next heartbeat", withTime("", st.Reporting.NextDue),
		"update check", ifDecided(st.Updates.Consent, st.Updates.Channel != ""),
		"newer release", paint(w, updateColor(st.Updates.Newer), describeUpdate(st.Updates.Newer)),
		"no check", withheldUpdates(st.Updates),
		"last check", withTime("", st.Updates.LastSuccess),
		"failed check", paint(w, red, failure(st.Updates.LastError, st.Updates.LastAttempt)),
		"next check", withTime("", st.Updates.NextDue),
	)
}

// withheldUpdates says why nobody is asked, although the operator granted it.
func withheldUpdates(st rollcall.UpdateStatus) string {
	if st.Consent.State != rollcall.Granted {
		return ""
	}
	return st.Withheld
}

func updateColor(u rollcall.Update) color {
	if u.Severity == report.ReleaseSecurity {
		return red
	}
	return yellow
}

// describeUpdate returns a newer release on one line; empty for none.
func describeUpdate(u rollcall.Update) string {
	text := u.Version
	switch u.Severity {
	case report.ReleaseSecurity:
		text += ", which fixes a known weakness of the running version"
	case report.ReleaseRecommended:
		text += ", recommended"
	}
	if !u.Released.IsZero() {
		text += ", of " + u.Released.Format(time.DateOnly)
	}
	if u.URL != "" {
		text += ": " + u.URL
	}
	return text
}

func (st storedStatus) print(w io.Writer) error {
	where := "no answer"
	if st.Agent != "" {
		where += " from " + st.Agent
	}
	return printPairs(w, "agent", paint(w, yellow, where+": "+st.Problem),
		"installation ID", cmp.Or(st.ID.String(), "none stored"), "place", st.Place, "not persisted", paint(w, red, st.Reason),
		"consent", describe(st.Consent), "health reports", describeHealth(st.Health, st.Consent),
		"update check", ifDecided(st.Updates, false))
}

// ifDecided describes the consent to the update check if somebody decided, or if
// the host has one.
func ifDecided(d rollcall.Decision, has bool) string {
	if !has && d.State == rollcall.Unset {
		return ""
	}
	return describeUpdateCheck(d)
}

// withTime appends a time, if there is one, to a text, if there is one.
func withTime(text string, at time.Time) string {
	if at.IsZero() {
		return text
	}
	stamp := at.Format(time.RFC3339)
	if text == "" {
		return stamp
	}
	return text + " (" + stamp + ")"
}

// failure is withTime, but empty if there was no failure.
func failure(text string, at time.Time) string {
	if text == "" {
		return ""
	}
	return withTime(text, at)
}
