package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/datadir"
)

// ErrUntrusted means that the data directory has a [datadir.ControlFile] that
// the collector did not write. A command sent there could reach anybody, and
// whatever comes back could be made up.
var ErrUntrusted = errors.New("not written by this collector")

// A controlFile is the content of the [datadir.ControlFile].
type controlFile struct {
	Address string `json:"address"`
	Token   string `json:"token"`
}

const maxControlFile = 4 << 10

// readControlFile reads the file of a data directory if it is one that only the
// collector could write.
func readControlFile(dir string) (file controlFile, err error) {
	path := filepath.Join(dir, datadir.ControlFile)
	link, err := os.Lstat(path)
	if err != nil {
		return file, err
	}
	if err := checkControlFile(dir, link); err != nil {
		return file, fmt.Errorf("%s: %w: %w", path, ErrUntrusted, err)
	}
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer f.Close()
	if opened, err := f.Stat(); err != nil || !os.SameFile(link, opened) {
		return file, fmt.Errorf("%s was replaced while it was read", path)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxControlFile))
	if err != nil {
		return file, err
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, fmt.Errorf("read %s: %w", datadir.ControlFile, err)
	}
	if address, err := netip.ParseAddrPort(file.Address); err != nil || !address.Addr().IsLoopback() {
		return file, fmt.Errorf("%s: %w: it names an address that is not loopback", path, ErrUntrusted)
	}
	return file, nil
}

// checkControlFile reports why a file is not the collector's. The collector runs
// as this user or root, or as the user whom the database or the key belongs to.
func checkControlFile(dir string, info os.FileInfo) error {
	owner, known := ownerOf(info)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a regular file")
	case !known:
		return nil
	}
	database, err := os.Lstat(filepath.Join(dir, datadir.DatabaseFile))
	if errors.Is(err, fs.ErrNotExist) { // the data is in PostgreSQL
		database, err = os.Lstat(filepath.Join(dir, datadir.SecretFile))
	}
	if err != nil {
		return err
	}
	// Some file systems, such as exFAT, have one mode for all files.
	if others := info.Mode().Perm() & 0o077; others&^database.Mode().Perm() != 0 {
		return fmt.Errorf("other users may read it (mode %04o)", info.Mode().Perm())
	}
	of, known := ownerOf(database)
	if owner == 0 || owner == os.Geteuid() || known && database.Mode().IsRegular() && of == owner {
		return nil
	}
	return fmt.Errorf("it belongs to another user (uid %d)", owner)
}
