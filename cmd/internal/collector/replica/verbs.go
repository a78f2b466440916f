package replica

import (
	"net/http"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
)

// Verbs returns a client for the commands of people at the replica that counts, and
// the URL below which they are.
func Verbs(s *secret.Secret, address string) (client *http.Client, base string, err error) {
	config, err := identity(s)
	if err != nil {
		return nil, "", err
	}
	return newClient(config), "https://" + address + verbsPath, nil
}
