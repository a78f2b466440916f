package collector

import "errors"

// The dimensions that every app has. A fact's dimension is "fact." and its name.
const (
	DimVersion      = "version"
	DimSystem       = "system"
	DimRelease      = "release"
	DimMachine      = "machine"
	DimDeployment   = "deployment"
	DimClient       = "client" // name and version
	DimCountry      = "country"
	DimFirstVersion = "first_version"
	FactDimension   = "fact."
)

// Other stands for all values beyond MaxValues.
const Other = "other"

// ErrDimension says that no installation of the app has a value of the dimension.
var ErrDimension = errors.New("unknown dimension")
