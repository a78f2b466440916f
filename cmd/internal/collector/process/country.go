package process

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"github.com/oschwald/maxminddb-golang/v2"
)

// countryLookup gives a function from an address to an ISO 3166-1 code, by a database in MaxMind's format which is read
// again when it changes. Of an address that it does not know, the code is empty.
func countryLookup(file string, log *slog.Logger) (func(netip.Addr) string, error) {
	load := func() (*maxminddb.Reader, error) {
		// Not mapped into memory: a file that is written over in place would change, or end, under the reader.
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		return maxminddb.OpenBytes(data)
	}
	db, err := watch(log, load, file)
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
