package control

import (
	"context"
	"encoding/hex"
	"errors"
	"net/url"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// connectToLeader connects to the replica that counts in the database, which may
// be on another machine, by proving that it has the secret too. It returns nil if
// that cannot be done.
func connectToLeader(ctx context.Context, dir string, opts datadir.Options, held error) *Client {
	leader, ok := errors.AsType[*postgres.HeldError](held)
	if !ok || leader.Address == "" {
		return nil
	}
	key := opts.Secret
	if len(key) == 0 {
		var err error
		if key, err = datadir.Secret(dir, true); err != nil {
			return nil
		}
	}
	s, err := secret.New(key)
	if err != nil {
		return nil
	}
	client, base, err := replica.Verbs(s, leader.Address)
	if err != nil {
		return nil
	}
	c := &Client{dir: dir, base: base, http: client, close: client.CloseIdleConnections, key: key, secret: s}
	if c.ping(ctx) != nil {
		c.Close()
		return nil
	}
	return c
}

// keyPath returns the path of a refused installation ID, by its key.
func (c *Client) keyPath(app, id string) string {
	key := c.secret.Key(app, id)
	return "/apps/" + url.PathEscape(app) + "/refused-keys/" + hex.EncodeToString(key[:])
}

// copySecret copies the secret to a directory.
func (c *Client) copySecret(dest string) error {
	if len(c.key) > 0 {
		return datadir.WriteSecret(c.key, dest)
	}
	return datadir.CopySecret(c.dir, dest)
}
