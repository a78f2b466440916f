package operator

import (
	"context"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

type owner int

func (o owner) CreateToken(context.Context) (rollcall.Operator, error) {
	return rollcall.Operator{Owner: int(o)}, nil
}

// TestPeers: root, the user of this process, and the owner of the config, but
// not the user that stands for those of other namespaces, nor a proxy.
func TestPeers(t *testing.T) {
	own := os.Geteuid()
	for _, tt := range []struct {
		name   string
		peer   peer
		owner  int
		header string
		want   page.Rights
	}{
		{"root", peer{0, true}, 1000, "", page.MayChange},
		{"this user", peer{own, true}, 1000, "", page.MayChange},
		{"the config's owner", peer{1000, true}, 1000, "", page.MayChange},
		{"another user", peer{1001, true}, 1000, "", page.MayDeny},
		{"another user, owner not known", peer{1001, true}, -1, "", page.MayDeny},
		{"nobody", peer{65534, true}, 65534, "", page.MayDeny},
		{"not known", peer{0, false}, 0, "", page.MayDeny},
		{"a proxy of root", peer{0, true}, 1000, "X-Forwarded-For", page.ReadOnly},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.RemoteAddr = "@"
		if tt.header != "" {
			r.Header.Set(tt.header, "192.0.2.1")
		}
		r = r.WithContext(context.WithValue(r.Context(), peerKey{}, tt.peer))
		if got := New(owner(tt.owner)).Rights(r); got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.name, got, tt.want)
		}
	}
}
