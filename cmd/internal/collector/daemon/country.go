package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"
)

// countryLookup returns a function from an address to its country, an ISO
// 3166-1 code, or to "" if the database does not know the address. The database
// is in MaxMind's format and is reloaded when the file changes.
func countryLookup(file string, log *slog.Logger) (func(netip.Addr) string, error) {
	load := func() (*maxminddb.Reader, error) {
		// Not memory-mapped: the operator may overwrite the file in place.
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return maxminddb.OpenBytes(data)
	}
	db, err := newReloaded(log, load, file)
	if err != nil {
		return nil, fmt.Errorf("open country database: %w", err)
	}
	return func(address netip.Addr) string {
		var code string
		if err := db.get().Lookup(address.Unmap()).DecodePath(&code, "country", "iso_code"); err != nil || len(code) != 2 {
			return ""
		}
		return code
	}, nil
}
