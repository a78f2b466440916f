package anchor_test

import "github.com/rollcall-dev/rollcall/internal/test/configdisk"

const (
	configPath = configdisk.Path
	anchorPath = configdisk.AnchorPath
	id         = configdisk.ID
	otherID    = configdisk.OtherID
	config     = configdisk.Config
)

var (
	isID           = configdisk.IsID
	bubble         = configdisk.Run
	requireContent = configdisk.RequireContent
	requireMode    = configdisk.RequireMode
	requireNoTemps = configdisk.RequireNoTemps
)
