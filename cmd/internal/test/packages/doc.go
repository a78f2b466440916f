// Package packages tests what a release consists of, where it can: it installs
// the packages, runs the image, what the compose files and manifests start, and
// what the chart makes of its values.
//
// It has tests only.
package packages
