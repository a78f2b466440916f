package tree

import (
	"regexp"
	"testing"
)

// TestImage holds the image to what an orchestrator must not do: a volume
// without a name would hide that no directory is mounted, and a container that
// is replaced because its ID is only in memory would make another one.
func TestImage(t *testing.T) {
	text := readTree(t, "deploy/Dockerfile")
	if regexp.MustCompile(`(?m)^VOLUME`).MatchString(text) {
		t.Error("the image has a VOLUME")
	}
	if !regexp.MustCompile(`(?m)^HEALTHCHECK .*"status", "--alive"\]$`).MatchString(text) {
		t.Error("the health check is not status --alive")
	}
}
