package collector

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

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

// InEveryApp reports whether a dimension is one of every app.
func InEveryApp(name string) bool {
	return slices.Contains([]string{
		DimVersion, DimSystem, DimRelease, DimMachine, DimDeployment, DimClient, DimCountry, DimFirstVersion,
	}, name)
}

// Other stands for all values of a dimension beyond its limit.
const Other = "other"

// ErrDimension means that no installation of the app has a value of the
// dimension.
var ErrDimension = errors.New("unknown dimension")

// synonyms are other names of operating systems and machines, in lower case, as
// languages and tools print them. Those of Go are counted.
var synonyms = map[string]map[string]string{
	DimSystem: {"macos": "darwin", "mac os x": "darwin", "osx": "darwin", "win32": "windows", "windows_nt": "windows"},
	DimMachine: {
		"x86_64": "amd64", "x64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "armv8": "arm64", "armv8l": "arm64",
		"i386": "386", "i486": "386", "i586": "386", "i686": "386", "x86": "386", "ia32": "386",
		"armv6l": "arm", "armv7l": "arm", "armv7": "arm", "armhf": "arm", "loongarch64": "loong64",
	},
}

// Canonical returns the one name under which a value of a dimension is counted.
func Canonical(dimension, text string) string {
	names, ok := synonyms[dimension]
	if !ok {
		return text
	}
	text = strings.ToLower(text)
	return cmp.Or(names[text], text)
}

// SummedFacts returns the facts whose values are whole numbers that add up: the
// inference runtimes of YA-WAMF clients. Each has at most [MaxValues] values, so
// that none counts as Other.
func SummedFacts() []string {
	return []string{
		"runtime.inference_health_total_runtimes", "runtime.inference_health_degraded_runtimes", "runtime.inference_health_unhealthy_runtimes",
	}
}
