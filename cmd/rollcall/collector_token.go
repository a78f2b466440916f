package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/spf13/cobra"
)

func newCollectorToken() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Make, list and revoke tokens for the dashboard and the API",
		Long: `Make, list and revoke tokens. Programs send one in the header Authorization, as "Bearer rct_..."; people sign in to the
dashboard with it. The collector stores only a hash.`,
	}, newTokenAdd(), newTokenList(), newTokenRevoke())
}

type tokenCommand struct {
	folder dataFolder
	asJSON bool
	admin  bool
	app    string
}

// tokenOutput is the output of token add --json.
type tokenOutput struct {
	Name  string       `json:"name"`
	Scope access.Scope `json:"scope"`
	App   string       `json:"app,omitempty"`
	Token string       `json:"token"`
}

func newTokenAdd() *cobra.Command {
	t := &tokenCommand{}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token, and print it: it cannot be shown again",
		Long: `Make a token and print it to standard output. It cannot be shown again. It is for reading; with --admin also for changing
settings. With --app it is for that app only.`,
		Example: "  rollcall collector token add me --admin\n  rollcall collector token add grafana --app myapp",
		Args:    oneArgument("the name of the token"),
		RunE:    t.runAdd,
	}
	t.folder.add(cmd)
	cmd.Flags().BoolVar(&t.admin, "admin", false, "for changing settings too")
	cmd.Flags().StringVar(&t.app, "app", "", "the key of the only app that it is for; by default it is for all")
	addJSON(cmd, &t.asJSON)
	return cmd
}

func (t *tokenCommand) runAdd(cmd *cobra.Command, args []string) error {
	want := control.NewToken{Name: args[0], Scope: access.Read, App: t.app}
	if t.admin {
		want.Scope = access.Admin
	}
	client, err := t.folder.connect(cmd)
	if err != nil {
		return err
	}
	defer client.Close()
	token, err := client.AddToken(cmd.Context(), want)
	if err != nil {
		return explainCollector(err)
	}
	if t.asJSON {
		return printJSON(cmd.OutOrStdout(), tokenOutput{want.Name, want.Scope, want.App, token})
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	return err
}

func newTokenList() *cobra.Command {
	t := &tokenCommand{}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the tokens, without themselves",
		Example: "  rollcall collector token list",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := t.folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			tokens, err := client.Tokens(cmd.Context())
			if err != nil {
				return explainCollector(err)
			}
			if t.asJSON {
				return printJSON(cmd.OutOrStdout(), append([]access.Token{}, tokens...)) // never null
			}
			table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tSCOPE\tAPP\tCREATED")
			for _, token := range tokens {
				app := token.App
				if app == "" {
					app = "all"
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", token.Name, token.Scope, app, token.Created.Format("2006-01-02"))
			}
			return table.Flush()
		},
	}
	t.folder.add(cmd)
	addJSON(cmd, &t.asJSON)
	return cmd
}

func newTokenRevoke() *cobra.Command {
	t := &tokenCommand{}
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "End a token, and the sessions that began with it",
		Example: "  rollcall collector token revoke grafana",
		Args:    oneArgument("the name of the token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := t.folder.connect(cmd)
			if err != nil {
				return err
			}
			defer client.Close()
			return explainCollector(client.RevokeToken(cmd.Context(), args[0]))
		},
	}
	t.folder.add(cmd)
	return cmd
}
