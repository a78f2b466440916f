package keeper

import (
	"github.com/rollcall-dev/rollcall/installid"
	"github.com/rollcall-dev/rollcall/internal/jsonedit"
)

// Status is the public status of the ID, and what the keeper knows of the config besides.
type Status struct {
	installid.Status
	// Enabled is the value of the config's consent key as it was last read.
	// It says nothing while the status is Unread.
	Enabled jsonedit.Value
}
