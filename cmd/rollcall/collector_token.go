package main

import (
	"cmp"
	"fmt"
	"io"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/control"
	"github.com/spf13/cobra"
)

func newCollectorToken() *cobra.Command {
	return group(&cobra.Command{
		Use:   "token",
		Short: "Add, list and revoke tokens for the dashboard and the API",
		Long: `Add, list and revoke tokens. Programs send one in the header "Authorization:
Bearer rct_..."; people sign in to the dashboard with it. The collector stores
only a hash of it.`,
	}, newTokenAdd(), newTokenList(), newTokenRevoke())
}

type tokenOutput struct {
	Name  string       `json:"name"`
	Scope access.Scope `json:"scope"`
	App   string       `json:"app,omitempty"`
	Token string       `json:"token"`
}

func newTokenAdd() *cobra.Command {
	var out output
	var admin bool
	want := control.NewToken{Scope: access.Read}
	cmd := clientVerb(with(&cobra.Command{
		Use:   "add NAME",
		Short: "Create a token and print it once",
		Long: `Create a token and print it to standard output. It cannot be shown again. It
allows reading; with --admin, changing settings too. With --app it is limited to
that app.`,
		Example: "  rollcall collector token add me --admin\n  rollcall collector token add grafana --app myapp",
		Args:    oneArgument("the name of the token"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		want.Name = args[0]
		if admin {
			want.Scope = access.Admin
		}
		token, err := client.AddToken(cmd.Context(), want)
		if err != nil {
			return err
		}
		return out.printf(cmd, tokenOutput{want.Name, want.Scope, want.App, token}, "%s\n", token)
	})
	cmd.Flags().BoolVar(&admin, "admin", false, "allow changing settings too")
	cmd.Flags().StringVar(&want.App, "app", "", "limit the token to the app with this key")
	return cmd
}

func newTokenList() *cobra.Command {
	var out output
	return clientVerb(with(&cobra.Command{
		Use:     "list",
		Short:   "List the names and scopes of the tokens",
		Example: "  rollcall collector token list",
		Args:    noArguments,
	}, &out), func(cmd *cobra.Command, _ []string, client *control.Client) error {
		tokens, err := client.Tokens(cmd.Context())
		if err != nil {
			return err
		}
		return out.print(cmd, append([]access.Token{}, tokens...), func(w io.Writer) error { // never null
			table := newTable(w)
			fmt.Fprintln(table, "NAME\tSCOPE\tAPP\tCREATED")
			for _, token := range tokens {
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", token.Name, token.Scope, cmp.Or(token.App, "all"), token.Created.Format("2006-01-02"))
			}
			return table.Flush()
		})
	})
}

func newTokenRevoke() *cobra.Command {
	return clientVerb(&cobra.Command{
		Use:     "revoke NAME",
		Short:   "Revoke a token, and end the sessions that it started",
		Example: "  rollcall collector token revoke grafana",
		Args:    oneArgument("the name of the token"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		return client.RevokeToken(cmd.Context(), args[0])
	})
}
