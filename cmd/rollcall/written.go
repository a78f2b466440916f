package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
)

// hintElsewhere says on standard error that a change was the first thing kept
// in a state directory: run by another user, or without STATE_DIRECTORY, a verb
// has another one than the service. file is one that the change wrote.
func (s *storageFlags) hintElsewhere(cmd *cobra.Command, file string) {
	if !s.noConfig {
		return
	}
	dir, likely := filepath.Dir(file), ""
	if at := filepath.Join("/var/lib", s.app); at != dir { // where systemd puts it
		for _, name := range []string{"installation-id", "consent.json"} {
			if _, err := os.Lstat(filepath.Join(at, name)); err == nil {
				likely = ", such as " + at
			}
		}
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "rollcall: nothing was kept in %s before\n"+
		"  hint: if the service keeps its files in a directory of its own%s, name that with --state-dir\n", dir, likely)
}
