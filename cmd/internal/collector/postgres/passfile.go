package postgres

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
)

// checkPassfile refuses a password from a password file that others can read. Libpq
// ignores such a file, and pgx does not look at its mode.
func checkPassfile(address, password string) error {
	if password == "" || os.Getenv("PGPASSWORD") != "" || runtime.GOOS == "windows" {
		return nil
	}
	file := os.Getenv("PGPASSFILE")
	if u, err := url.Parse(address); err == nil {
		if _, given := u.User.Password(); given || u.Query().Has("password") {
			return nil
		}
		if named := u.Query().Get("passfile"); named != "" {
			file = named
		}
	}
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil // pgx has not read one there either
		}
		file = filepath.Join(home, ".pgpass")
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil // the password has come from elsewhere
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w: %s has mode %04o", ErrPassfile, file, mode)
	}
	return nil
}
