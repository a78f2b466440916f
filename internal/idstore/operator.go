package idstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-dev/rollcall/internal/anchor"
)

// An Operator is what shows a local server that a client acts for the operator.
type Operator struct {
	// Token is known to those who may read the file at TokenPath. Both are empty
	// if there is none.
	Token, TokenPath string
	// Owner is the user ID of the owner of the config or, without one, of the
	// directory; -1 if it is not known.
	Owner int
}

// tokenLength is that of [rand.Text], which has more than 128 bits of
// randomness.
const tokenLength = 26

func isToken(text string) bool {
	return len(text) == tokenLength && strings.Trim(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

func (r *fileRecords) ReadOperator(ctx context.Context) (Operator, error) {
	return r.operator(ctx, func() (string, error) {
		text, err := r.token.Read(ctx)
		if err == nil && !isToken(text) {
			err = errors.New(r.token.Path() + " holds no token; remove it")
		}
		return text, err
	})
}

func (r *fileRecords) CreateToken(ctx context.Context) (Operator, error) {
	return r.operator(ctx, func() (string, error) {
		text, err := r.token.Read(ctx)
		if err == nil && isToken(text) {
			return text, nil
		}
		if err := r.checkBeside(ctx); err != nil {
			return "", err
		}
		return r.token.Publish(ctx, rand.Text())
	})
}

// operator returns the operator with the token that get returns.
func (r *fileRecords) operator(ctx context.Context, get func() (string, error)) (Operator, error) {
	o := Operator{Owner: -1}
	if r.config == nil {
		return o, ErrNoPlace
	}
	token, err := get()
	switch {
	case err == nil:
		o.Token, o.TokenPath = token, r.token.Path()
	case errors.Is(err, anchor.ErrNotPrivate):
		err = fmt.Errorf("%w; others may know the token, so remove it and restart the agent, unless the agent has just made it so", err)
	}
	if uid, ok := r.config.Owner(ctx); ok { // of a directory that is new, perhaps
		o.Owner = uid
	}
	return o, err
}
