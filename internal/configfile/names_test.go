package configfile_test

import "github.com/rollcall-dev/rollcall/internal/test/configdisk"

const (
	configPath = configdisk.Path
	anchorPath = configdisk.AnchorPath
	id         = configdisk.ID
	otherID    = configdisk.OtherID
	config     = configdisk.Config
	saved      = configdisk.Saved
)

var (
	withID         = configdisk.WithID
	isID           = configdisk.IsID
	bubble         = configdisk.Run
	waitForHang    = configdisk.WaitForHang
	requireContent = configdisk.RequireContent
	requireNoTemps = configdisk.RequireNoTemps
)
