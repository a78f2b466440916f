package rollcall

import "github.com/rollcall-dev/rollcall/internal/fsys"

// On returns the config with another file system.
func (c Config) On(fs fsys.FS) Config {
	c.fs = fs
	return c
}
