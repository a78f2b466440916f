package datadir

import "time"

// A machine that stands still for a while does not lose the lead.
func init() { lease = time.Hour }
