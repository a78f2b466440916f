package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/agent"
	"github.com/rollcall-dev/rollcall/cmd/internal/operator"
	"github.com/spf13/cobra"
)

func newPage() *cobra.Command {
	p := &pageCommand{limit: timeout(5 * time.Second)}
	cmd := with(&cobra.Command{
		Use:   "page",
		Short: "Print a link that signs in to the operator's page",
		Long: `Print a link to the operator's page of the running agent, which signs in the
browser that opens it. Without it, everyone on this machine can read the page and
deny telemetry, but only the operator can grant, send, reset, or forget.

The link works once, within five minutes, and not after the agent was restarted.
The browser stays signed in for twelve hours at most, until the agent ends. The
link is made with the agent's token, in the hidden file that ends in
.rollcall-token beside the ID, so run this with the agent's flags, as its user,
as root, or as the owner of the config. In a container: docker compose exec
rollcall /rollcall page.`,
		Example: "  rollcall page\n  rollcall page --config /srv/app/config.json --agent http://127.0.0.1:9000",
		Args:    noArguments,
		RunE:    p.run,
	}, &p.storage, &p.limit)
	addFlag(cmd.Flags(), textValue(&p.agent, "URL", ""), "agent",
		"URL of the agent; by default that of ROLLCALL_LISTEN, or else http://"+defaultListen)
	return cmd
}

type pageCommand struct {
	storage storageFlags
	agent   string
	limit   timeout
}

func (p *pageCommand) run(cmd *cobra.Command, _ []string) error {
	base := strings.TrimSuffix(cmp.Or(p.agent, agentURL(agentAddresses())), "/")
	if !strings.HasPrefix(base, "http") {
		return withHint(errors.New("the agent has no address that a browser can open"),
			"start it with --listen %s as well, and name the address here with --agent or ROLLCALL_LISTEN", defaultListen)
	}
	service, err := p.storage.newService(cmd)
	if err != nil {
		return err
	}
	ctx, cancel := p.limit.context(cmd)
	defer cancel()
	if _, err := agent.Ask(ctx, base); err != nil {
		return withHint(fmt.Errorf("no answer from %s: %w", base, err), "start the agent first, or name its address with --agent")
	}
	proof, err := service.ReadOperator(ctx)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return withHint(err, "is %s the agent of this config? It creates the token when it has started and its ID is settled, and logs why if it cannot", base)
	case err != nil:
		return withHint(err, "run this as the agent's user, as root, or as the owner of the config")
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), base+operator.NewLink(proof.Token))
	return err
}
