package sender

import (
	"go/build"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const nosend = "rollcall_nosend"

// With the tag, neither the package nor anything that it imports can reach a
// network.
func TestNoSendImports(t *testing.T) {
	t.Parallel()
	withTag := build.Default
	withTag.BuildTags = []string{nosend}
	pkg, err := withTag.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	checkNoNetwork(t, pkg.Imports)
	// The check can fail.
	withoutTag := build.Default
	if pkg, err = withoutTag.ImportDir(".", 0); err != nil || !slices.Contains(pkg.Imports, "net/http") {
		t.Errorf("without the tag: %v, imports %v", err, pkg.Imports)
	}

	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-tags", nosend, ".")
	out, err := list.Output()
	if err != nil {
		t.Skipf("go list: %v", err)
	}
	checkNoNetwork(t, strings.Fields(string(out)))
}

func checkNoNetwork(t *testing.T, imports []string) {
	t.Helper()
	if len(imports) == 0 {
		t.Error("no imports at all")
	}
	for _, name := range imports {
		if name == "net" || strings.HasPrefix(name, "net/") || name == "crypto/tls" || name == "os/exec" {
			t.Errorf("the package imports %s with the tag", name)
		}
	}
}
