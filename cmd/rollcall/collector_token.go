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
	var admin, releases, notes, feed bool
	want := control.NewToken{Scope: access.Read}
	cmd := clientVerb(with(&cobra.Command{
		Use:   "add NAME",
		Short: "Create a token and print it once",
		Long: `Create a token and print it to standard output. It cannot be shown again. It
allows reading; with --admin, changing settings too; with --release, nothing but
publishing releases; with --note, nothing but adding and removing notes; with
--feed, nothing but reading the feed of weekly reports, also as a part of its
address. With --app it is limited to that app.`,
		Example: "  rollcall collector token add me --admin\n  rollcall collector token add grafana --app myapp\n  rollcall collector token add ci --app myapp --release",
		Args:    oneArgument("the name of the token"),
	}, &out), func(cmd *cobra.Command, args []string, client *control.Client) error {
		want.Name = args[0]
		switch {
		case admin:
			want.Scope = access.Admin
		case releases:
			want.Scope = access.Release
		case notes:
			want.Scope = access.Note
		case feed:
			want.Scope = access.Feed
		}
		token, err := client.AddToken(cmd.Context(), want)
		if err != nil {
			return err
		}
		return out.printf(cmd, tokenOutput{want.Name, want.Scope, want.App, token}, "%s\n", token)
	})
	cmd.Flags().BoolVar(&admin, "admin", false, "allow changing settings too")
	cmd.Flags().BoolVar(&releases, "release", false, "allow publishing releases, and nothing else")
	cmd.Flags().BoolVar(&notes, "note", false, "allow adding and removing notes, and nothing else")
	cmd.Flags().BoolVar(&feed, "feed", false, "allow reading the feed of weekly reports, and nothing else")
	scopes := []string{"admin", "release", "note", "feed"}
	for i, one := range scopes {
		for _, other := range scopes[i+1:] {
			exclusive(cmd, one, other)
		}
	}
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
	app := access.AnyApp
	cmd := clientVerb(&cobra.Command{
		Use:   "revoke NAME",
		Short: "Revoke a token, and end the sessions that it started",
		Long: `Revoke a token, all tokens that were created with it, and the sessions that they
started. If several apps have a token with this name, --app says which is meant.`,
		Example: "  rollcall collector token revoke grafana",
		Args:    oneArgument("the name of the token"),
	}, func(cmd *cobra.Command, args []string, client *control.Client) error {
		return client.RevokeToken(cmd.Context(), app, args[0])
	})
	cmd.Flags().StringVar(&app, "app", app, `key of the token's app; empty for a token for all apps`)
	return cmd
}
