//go:build !unix && !windows

package platform

func release() string { return "" }
