package hosts

import (
	"archive/zip"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const (
	library = "github.com/rollcall-dev/rollcall"
	program = library + "/cmd"
)

// A proxy serves this tree's two modules from a directory, in the version
// that the program requires of the library. Its module cache is its own: that
// version must never end up in the user's.
type proxy struct{ dir, version string }

func (p proxy) modCache() string { return filepath.Join(p.dir, "modcache") }

// theProxy is made by the first test that needs it. TestMain removes it.
var theProxy = sync.OnceValues(newProxy)

func TestMain(m *testing.M) {
	os.Setenv("ROLLCALL_TRUST_DISK", "true") // that of the test run may be a container's
	code := m.Run()
	if p, err := theProxy(); err == nil {
		os.RemoveAll(p.dir)
	}
	os.Exit(code)
}

func newProxy() (p proxy, err error) {
	if p.dir, err = os.MkdirTemp("", "rollcall-hosts-"); err != nil {
		return proxy{}, err
	}
	root := filepath.Join("..", "..", "..", "..")
	data, err := os.ReadFile(filepath.Join(root, "cmd", "go.mod"))
	if err != nil {
		return p, err
	}
	mod, err := modfile.Parse("cmd/go.mod", data, nil)
	if err != nil {
		return p, err
	}
	for _, r := range mod.Require {
		if r.Mod.Path == library {
			p.version = r.Mod.Version
		}
	}
	if len(mod.Replace) > 0 {
		return p, fmt.Errorf("cmd/go.mod has replace directives, which go install refuses")
	}
	for path, dir := range map[string]string{library: root, program: filepath.Join(root, "cmd")} {
		if err := p.add(path, dir); err != nil {
			return p, fmt.Errorf("%s: %w", path, err)
		}
	}
	return p, nil
}

// add serves the module in dir; see https://go.dev/ref/mod#goproxy-protocol.
func (p proxy) add(path, dir string) error {
	served := filepath.Join(p.dir, "proxy", filepath.FromSlash(path), "@v")
	if err := os.MkdirAll(served, 0o755); err != nil {
		return err
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return err
	}
	var zipped bytes.Buffer
	if err := modzip.CreateFromDir(&zipped, module.Version{Path: path, Version: p.version}, dir); err != nil {
		return err
	}
	if _, err := zip.NewReader(bytes.NewReader(zipped.Bytes()), int64(zipped.Len())); err != nil {
		return err
	}
	for name, data := range map[string][]byte{
		"list":              []byte(p.version + "\n"),
		p.version + ".info": fmt.Appendf(nil, `{"Version":%q}`, p.version),
		p.version + ".mod":  mod,
		p.version + ".zip":  zipped.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(served, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A host is a module outside of this tree.
type host struct {
	proxy
	dir string
}

// newHost writes the files of a host and skips the test when the modules that
// it needs cannot be had.
func newHost(t *testing.T, files map[string]string) host {
	t.Helper()
	p, err := theProxy()
	if err != nil {
		t.Fatal(err)
	}
	h := host{p, t.TempDir()}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// run runs the go command as for a release on one system, so that the figures
// are the same wherever the test runs.
func (h host) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := h.try(args...)
	if err != nil && strings.Contains(err.Error(), "module lookup disabled") || err != nil && strings.Contains(err.Error(), "dial tcp") {
		lab.Skip(t, "modules cannot be had: "+err.Error())
	}
	if err != nil {
		t.Fatalf("go %s: %v", strings.Join(args, " "), err)
	}
	return out
}

func (h host) try(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir = h.dir
	proxies := []string{"file://" + filepath.Join(h.proxy.dir, "proxy")}
	for _, name := range []string{"GOMODCACHE", "GOPROXY"} {
		out, err := exec.Command("go", "env", name).Output()
		if err != nil {
			return "", err
		}
		text := strings.TrimSpace(string(out))
		if name == "GOMODCACHE" { // what is there need not be fetched
			text = "file://" + filepath.Join(text, "cache", "download")
		}
		proxies = append(proxies, text)
	}
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64", "GOWORK=off", "GOFLAGS=-trimpath -modcacherw",
		"GOPROXY="+strings.Join(proxies, ","), "GOSUMDB=off", "GOMODCACHE="+h.modCache(), "GOBIN="+filepath.Join(h.dir, "bin"),
		"GOTOOLCHAIN=local")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, errs.Bytes())
	}
	return string(out), nil
}
