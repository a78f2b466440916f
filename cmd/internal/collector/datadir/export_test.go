package datadir

import "time"

// A machine that stalls does not lose the lead.
func init() { lease = time.Hour }
