package collector

import "errors"

// The dimensions of every app. The dimension of a fact is FactDimension
// followed by the fact's name.
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

// Other stands for all values of a dimension beyond its limit.
const Other = "other"

// ErrDimension means that no installation of the app has a value of the
// dimension.
var ErrDimension = errors.New("unknown dimension")
