//go:build rollcall_nosend

package sender

import (
	"context"
	"errors"
	"testing"
)

func TestNoSend(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	s := r.sender()
	s.connect = func(ctx context.Context) (Requester, error) { return newClient(ctx, s.config, s.network) }
	for name, err := range map[string]error{
		"SendNow": s.SendNow(t.Context()),
		"Upload":  s.Upload(t.Context(), []byte("x")),
		"Forget":  s.Forget(t.Context(), r.id),
	} {
		if !errors.Is(err, errNoSend) {
			t.Errorf("%s: got %v, want %v", name, err, errNoSend)
		}
	}
	if err := CheckEndpoint("nonsense"); err != nil || Enabled {
		t.Errorf("got %v, enabled %v; want no error, not enabled", err, Enabled)
	}
}
