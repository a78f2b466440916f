package sender

import (
	"context"
	"sync"
	"time"
)

// consentEvery is how often consent is checked while a request is under way.
const consentEvery = 250 * time.Millisecond

// whileAllowed returns a context that ends with errWithdrawn when consent no
// longer stands. stop waits for a check that is under way.
func whileAllowed(ctx context.Context, allowed func(context.Context) bool) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var checking sync.Mutex
	checking.Lock()
	defer checking.Unlock()
	var timer *time.Timer
	timer = time.AfterFunc(consentEvery, func() {
		checking.Lock()
		defer checking.Unlock()
		if ctx.Err() != nil {
			return
		}
		if !allowed(ctx) {
			cancel(errWithdrawn) // no effect if the reason is that ctx ended
			return
		}
		timer.Reset(consentEvery)
	})
	return ctx, func() {
		cancel(nil)
		checking.Lock()
		defer checking.Unlock()
		timer.Stop()
	}
}
