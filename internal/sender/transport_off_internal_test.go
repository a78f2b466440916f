//go:build rollcall_nosend

package sender

import (
	"context"
	"errors"
	"testing"
)

func TestOff(t *testing.T) {
	t.Parallel()
	r := &rig{t: t, id: testID(1)}
	s := r.sender()
	s.open = func(ctx context.Context) (poster, error) { return newClient(ctx, s.config, s.wire) }
	for name, err := range map[string]error{
		"SendNow": s.SendNow(t.Context()),
		"Upload":  s.Upload(t.Context(), []byte("x")),
		"Forget":  s.Forget(t.Context(), r.id),
	} {
		if !errors.Is(err, errOff) {
			t.Errorf("%s: %v, want %v", name, err, errOff)
		}
	}
	if Enabled {
		t.Error("enabled")
	}
}
