package rollcall

import (
	"context"
	"fmt"

	"github.com/rollcall-dev/rollcall/internal/idstore"
)

// An Operator is what shows a local server, such as that of the agent, that a
// client acts for the operator: the client knows the token, or the kernel says
// that the peer of a Unix socket is root, the user of the server's process, or
// the owner of the config.
type Operator struct {
	// Token is 26 characters, A to Z and 2 to 7, known to those who may read the
	// file at TokenPath. Both are empty if there is none.
	Token, TokenPath string
	// Owner is the user ID of the config's owner or, without a config, of the
	// owner of the state directory. It is -1 if it is not known, as on Windows.
	Owner int
}

// ReadOperator reads the token and the owner, and changes nothing. As far as
// there is no token, the error says why: it is fs.ErrNotExist if none was
// created yet, and another one if the file may have been written or read by
// somebody else. The owner is valid in any case. ReadOperator waits no longer
// than ctx.
func (s *Service) ReadOperator(ctx context.Context) (Operator, error) {
	return s.operator(ctx, "read", idstore.Records.ReadOperator)
}

// CreateToken is [Service.ReadOperator], but first creates the token if there
// is none: a file of mode 0600 beside the anchor or the state file, such as
// .config.json.rollcall-token. Of several processes one creates it, and all
// return it. Nothing is written beside a config that is read-only by its mode.
func (s *Service) CreateToken(ctx context.Context) (Operator, error) {
	return s.operator(ctx, "create", idstore.Records.CreateToken)
}

func (s *Service) operator(ctx context.Context, verb string, do func(idstore.Records, context.Context) (idstore.Operator, error)) (Operator, error) {
	if s == nil {
		return Operator{Owner: -1}, ErrNoService
	}
	o, err := do(s.records, ctx)
	if err != nil {
		err = fmt.Errorf("%s the operator's token: %w", verb, err)
	}
	return Operator(o), err
}
