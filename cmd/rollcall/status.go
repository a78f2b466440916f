package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/keeper"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	s := &status{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show how the agent and its installation ID are",
		Long: `Ask the running agent how it is: the ID, whether it is on disk and where, what went wrong last, and the consent. When no
agent answers, show what is stored on disk, without changing anything.

The exit code is 0 when an agent runs and its ID is settled and persisted, 3 when the ID is not settled, when it is only
in memory, or when no agent answers, and 1 after an error.`,
		Example: "  rollcall status\n  rollcall status --agent http://127.0.0.1:9000 --json",
		Args:    noArguments,
		RunE:    s.run,
	}
	s.place.add(cmd)
	addSetting(cmd.Flags(), textSetting(&s.agent, "URL", ""), "agent",
		"the agent to ask; by default the one at ROLLCALL_LISTEN, or else at http://"+defaultListen)
	addTimeout(cmd, &s.limit, 5*time.Second)
	addJSON(cmd, &s.asJSON)
	return cmd
}

type status struct {
	place  storage
	agent  string
	limit  time.Duration
	asJSON bool
}

// runningStatus is the output of status --json when an agent answers: all that the agent said, and where it was asked.
type runningStatus struct {
	agent.Reply
	address string
}

// MarshalJSON puts the two members of its own before those that the agent gave.
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

// storedStatus is the output of status --json when none does.
type storedStatus struct {
	Running   bool         `json:"running"`
	Agent     string       `json:"agent"`
	Problem   string       `json:"problem"`
	Persisted bool         `json:"persisted"`
	ID        installid.ID `json:"installation_id"`
	Place     string       `json:"place"`
}

func (s *status) run(cmd *cobra.Command, _ []string) error {
	store, err := s.place.open(cmd)
	if err != nil {
		return err
	}
	address := s.agent
	if address == "" {
		address = agentURL(cmd)
	}
	reply, noAnswer := s.ask(cmd.Context(), address)
	if noAnswer == nil {
		return s.printRunning(cmd.OutOrStdout(), runningStatus{reply, address})
	}
	rec, err := load(cmd.Context(), store, s.limit)
	if err != nil && !errors.Is(err, keeper.ErrNotFound) {
		return err
	}
	return s.printStored(cmd.OutOrStdout(), storedStatus{
		Agent: address, Problem: noAnswer.Error(), Persisted: !rec.ID.IsZero(), ID: rec.ID, Place: rec.Place,
	})
}

func (s *status) ask(ctx context.Context, address string) (agent.Reply, error) {
	if address == "" {
		return agent.Reply{}, errors.New("its local server is off")
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	return agent.Ask(ctx, address)
}

// agentURL is where an agent that was started with the same variables answers, empty when it does not.
func agentURL(cmd *cobra.Command) string {
	listen := listenAddress(environmentOr(variable("listen"), defaultListen))
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (s *status) printRunning(w io.Writer, st runningStatus) error {
	show := func() error { return printJSON(w, st) }
	if !s.asJSON {
		uptime := time.Duration(st.UptimeSeconds * float64(time.Second)).Round(time.Second)
		show = func() error {
			return printPairs(w,
				"agent", fmt.Sprintf("running at %s for %v, version %s", st.address, uptime, st.Version),
				"installation ID", st.ID.String(),
				"settled", yesNo(st.Settled),
				"persisted", yesNo(st.Persisted),
				"place", st.Place,
				"reason", st.Reason,
				"last error", failure(st.LastError, st.LastErrorTime),
				"running operation", timed(st.Stuck, st.StuckSince),
				"attempts", strconv.Itoa(st.Attempts),
				"next look", timed("", st.NextTry),
				"consent", fmt.Sprintf("%s (%s)", st.Consent, st.ConsentSource),
				"collector", st.Reporting.Endpoint,
				"nothing is sent", st.Reporting.Withheld,
				"last heartbeat", timed("", st.Reporting.LastSuccess),
				"last failure", failure(st.Reporting.LastError, st.Reporting.LastAttempt),
				"next heartbeat", timed("", st.Reporting.NextDue),
			)
		}
	}
	if err := show(); err != nil {
		return err
	}
	if !st.Settled || !st.Persisted {
		return exitCode(exitNotWell)
	}
	return nil
}

func (s *status) printStored(w io.Writer, st storedStatus) error {
	show := func() error { return printJSON(w, st) }
	if !s.asJSON {
		where := "none answers"
		if st.Agent != "" {
			where += " at " + st.Agent
		}
		id := st.ID.String()
		if id == "" {
			id = "none is stored"
		}
		show = func() error {
			return printPairs(w, "agent", where+": "+st.Problem, "installation ID", id, "place", st.Place)
		}
	}
	if err := show(); err != nil {
		return err
	}
	return exitCode(exitNotWell)
}

// timed puts the time, if there is one, behind the text.
func timed(text string, at time.Time) string {
	switch {
	case at.IsZero():
		return text
	case text == "":
		return at.Format(time.RFC3339)
	default:
		return text + " (" + at.Format(time.RFC3339) + ")"
	}
}

// failure is timed, and empty without a failure.
func failure(text string, at time.Time) string {
	if text == "" {
		return ""
	}
	return timed(text, at)
}
