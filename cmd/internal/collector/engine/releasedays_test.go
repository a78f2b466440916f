package engine_test

import (
	"fmt"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/figures"
)

// Releases stand on the day that the maintainer set, or on that of their first
// report. Versions of the first day, pre-releases, and inventions do not, and the
// public sees what was declared.
func TestReleaseDays(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		begin := today()
		wants := func(what string, v figures.View, want ...figures.ReleaseDay) {
			t.Helper()
			got, err := r.e.ReleaseDays(r.app.Num, v)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: got %v, %v, want %v", what, got, err, want)
			}
		}
		for day := range 40 {
			r.sends(0, 10, "1.0.0")
			if day == 20 {
				wants("at first", figures.View{})
			}
			r.nextDay()
		}
		r.sends(0, 5, "1.1.0")
		r.send(r.heartbeat(5, "1.2.0-rc.1"))
		for range 2 { // an invention of established installations
			r.sends(100, 103, "9.9.9")
			r.nextDay()
		}
		public := figures.View{Public: true, K: 5}
		seen := figures.ReleaseDay{Version: "1.1.0", Day: begin + 40}
		wants("first seen", figures.View{}, seen)
		wants("first seen, for the public", public)

		came, planned := figures.ReleaseDay{Version: "1.1.0", Day: begin + 39, Dated: true}, figures.ReleaseDay{Version: "1.3.0", Day: begin + 50, Dated: true}
		if err := r.e.SetRelease(t.Context(), r.app.Num, "1.1.0", begin+39); err != nil {
			t.Fatal(err)
		}
		wants("dated", figures.View{}, came)
		wants("dated, but perhaps by few installations, for the public", public)
		if err := r.e.Declare(t.Context(), r.app.Num, collector.Declarations{Releases: []collector.DeclaredRelease{
			{Version: "1.1.0", Released: begin + 39}, {Version: "1.3.0", Released: begin + 50},
		}}); err != nil {
			t.Fatal(err)
		}
		wants("declared", figures.View{}, came, planned)
		wants("declared, for the public", public, came, planned)
		r.crash()
		wants("after a crash", public, came, planned)
	})
}
