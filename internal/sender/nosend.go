//go:build rollcall_nosend

package sender

import (
	"context"
	"errors"
)

// Enabled reports whether this build can send.
const Enabled = false

var errNoSend = errors.New("this program was built without the ability to send")

// A RoundTripper makes no request in this build.
type RoundTripper = any

type network struct{}

func newNetwork() network { return network{} }

func newClient(context.Context, Config, network) (Requester, error) { return nil, errNoSend }

// CheckEndpoint accepts every endpoint, since nothing is ever sent.
func CheckEndpoint(string) error { return nil }
