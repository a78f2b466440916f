package diagnose_test

import "github.com/rollcall-dev/rollcall/internal/test/configdisk"

const (
	configPath = configdisk.Path
	anchorPath = configdisk.AnchorPath
	id         = configdisk.ID
	config     = configdisk.Config
	saved      = configdisk.Saved
)

var (
	bubble         = configdisk.Run
	waitIdle       = configdisk.WaitIdle
	requireContent = configdisk.RequireContent
	requireNoTemps = configdisk.RequireNoTemps
	asUser         = configdisk.As
	ofSize         = configdisk.OfSize
)
