package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	s := &status{limit: timeout(5 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "status",
		Short: "Show the status of the agent and its ID",
		Long: `Ask the running agent for its status: the ID, whether and where it is persisted,
the last error, and the consent. If no agent answers, show what is stored on
disk, and change nothing.

The exit code is 0 if an agent is running and its ID is settled and persisted; 3
if the ID is not settled, or only in memory, or if no agent answers; and 1 after
an error.`,
		Example: "  rollcall status\n  rollcall status --agent http://127.0.0.1:9000 --json",
		Args:    noArguments,
		RunE:    s.run,
	}, &s.storage, &s.limit, &s.out)
	addFlag(cmd.Flags(), textValue(&s.agent, "URL", ""), "agent",
		"URL of the agent; by default that of ROLLCALL_LISTEN, or else http://"+defaultListen)
	return cmd
}

type status struct {
	storage storageFlags
	agent   string
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
	Running   bool         `json:"running"`
	Agent     string       `json:"agent"`
	Problem   string       `json:"problem"`
	Persisted bool         `json:"persisted"`
	ID        installid.ID `json:"installation_id"`
	Place     string       `json:"place"`
}

func (s *status) run(cmd *cobra.Command, _ []string) error {
	if _, err := newService(cmd, &s.storage); err != nil { // a mistake in the flags
		return err
	}
	address := cmp.Or(s.agent, agentURL())
	reply, noAnswer := s.ask(cmd, address)
	if noAnswer == nil {
		st := runningStatus{reply, address}
		if err := s.out.print(cmd, st, st.print); err != nil || st.Settled && st.Persisted {
			return err
		}
		return exitCode(exitNotWell)
	}
	stored, err := s.storage.stored(cmd, s.limit)
	if err != nil {
		return err
	}
	st := storedStatus{
		Agent: address, Problem: noAnswer.Error(),
		Persisted: !stored.ID.IsZero(), ID: stored.ID, Place: stored.Place,
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

// agentURL returns the URL of an agent that was started with the same
// environment, or "" if its server is off.
func agentURL() string {
	host, port, err := net.SplitHostPort(listenAddress(cmp.Or(os.Getenv(variable("listen")), defaultListen)))
	if err != nil {
		return ""
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port)
}

func (st runningStatus) print(w io.Writer) error {
	uptime := time.Duration(st.UptimeSeconds * float64(time.Second)).Round(time.Second)
	return printPairs(w,
		"agent", fmt.Sprintf("running at %s for %v, version %s", st.address, uptime, st.Version),
		"installation ID", st.ID.String(),
		"settled", yesNo(st.Settled),
		"persisted", yesNo(st.Persisted),
		"place", st.Place,
		"reason", st.Reason,
		"last error", failure(st.LastError, st.LastErrorTime),
		"operation in progress", withTime(st.Stuck, st.StuckSince),
		"attempts", strconv.Itoa(st.Attempts),
		"next attempt", withTime("", st.NextTry),
		"consent", describe(st.Consent),
		"collector", st.Reporting.Endpoint,
		"not sending", st.Reporting.Withheld,
		"last heartbeat", withTime("", st.Reporting.LastSuccess),
		"last failure", failure(st.Reporting.LastError, st.Reporting.LastAttempt),
		"next heartbeat", withTime("", st.Reporting.NextDue),
	)
}

func (st storedStatus) print(w io.Writer) error {
	where := "no answer"
	if st.Agent != "" {
		where += " from " + st.Agent
	}
	return printPairs(w, "agent", where+": "+st.Problem,
		"installation ID", cmp.Or(st.ID.String(), "none stored"), "place", st.Place)
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
