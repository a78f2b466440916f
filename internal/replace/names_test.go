package replace_test

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
	requireIdle    = configdisk.RequireIdle
	waitIdle       = configdisk.WaitIdle
	waitForHang    = configdisk.WaitForHang
	content        = configdisk.Content
	requireContent = configdisk.RequireContent
	requireMode    = configdisk.RequireMode
	temps          = configdisk.Temps
	requireNoTemps = configdisk.RequireNoTemps
	asUser         = configdisk.As
	ofSize         = configdisk.OfSize
)
