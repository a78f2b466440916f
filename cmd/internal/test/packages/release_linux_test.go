package packages

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// version is the release that this test makes. Packages sort it before v0.1.0.
const version = "v0.1.0-rc.1"

// TestRelease builds a release for this system, and installs and runs what is
// in it. The second build, which the first one is compared with, has the cache
// of the user; `make release` uses an empty one.
func TestRelease(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a release")
	}
	lab.Need(t, lab.Root, lab.Tool("make"), lab.Tool("git"), lab.Tool("dpkg"), lab.Tool("rpm"), lab.Tool("man"),
		lab.Tool("systemctl"), lab.Tool("systemd-sysusers"))
	run(t, command(t, root, "make", "bin/release", "bin/cyclonedx-gomod"))
	dist := filepath.Join(t.TempDir(), "dist")
	cache := run(t, command(t, root, "go", "env", "GOCACHE"))
	run(t, command(t, root, "bin/release", "-version", version, "-platforms", "linux/amd64", "-root", ".", "-changes",
		"-out", dist, "-sbom", "bin/cyclonedx-gomod", "-second-cache", cache))
	t.Run("files", func(t *testing.T) { testFiles(t, dist) })
	t.Run("sbom", func(t *testing.T) { testSBOM(t, dist) })
	t.Run("archive", func(t *testing.T) { testArchive(t, dist) })
	t.Run("debian", func(t *testing.T) { testDebian(t, dist) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, dist) })
	t.Run("image", func(t *testing.T) { testReleasedImage(t, dist) })
}

// testFiles checks what is there, and SHA256SUMS with the usual command.
func testFiles(t *testing.T, dist string) {
	entries, err := os.ReadDir(dist)
	must(t, err)
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	want := []string{
		"SHA256SUMS",
		"rollcall-0.1.0~rc.1-1.x86_64.rpm",
		"rollcall-chart-0.1.0-rc.1.tgz",
		"rollcall-v0.1.0-rc.1-image.tar",
		"rollcall-v0.1.0-rc.1-kubernetes.yaml",
		"rollcall-v0.1.0-rc.1-linux-amd64.cdx.json",
		"rollcall-v0.1.0-rc.1-linux-amd64.tar.gz",
		"rollcall_0.1.0~rc.1_amd64.deb",
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("got %q, want %s too", got, name)
		}
	}
	out := run(t, command(t, dist, "sha256sum", "--check", "--strict", "SHA256SUMS"))
	if ok := strings.Count(out, ": OK"); ok != len(got)-1 {
		t.Errorf("%d of %d files have a sum", ok, len(got)-1)
	}
}

// testSBOM compares the list of modules with that of the program itself.
func testSBOM(t *testing.T, dist string) {
	var bom struct {
		Metadata struct {
			Component struct{ Version string }
		}
		Components []struct {
			Name, Version string
		}
	}
	must(t, json.Unmarshal([]byte(read(t, filepath.Join(dist, "rollcall-"+version+"-linux-amd64.cdx.json"))), &bom))
	if got := bom.Metadata.Component.Version; got != version {
		t.Errorf("got the version %q", got)
	}
	listed := map[string]string{}
	for _, component := range bom.Components {
		listed[component.Name] = component.Version
	}
	program := unpack(t, dist)
	count := 0
	for line := range strings.Lines(run(t, command(t, "", "go", "version", "-m", program))) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != "dep" {
			continue
		}
		count++
		if _, ok := listed[fields[1]]; !ok {
			t.Errorf("the SBOM lacks %s", fields[1])
		}
	}
	if count < 10 {
		t.Errorf("the program has only %d modules", count)
	}
	if listed["std"] == "" {
		t.Errorf("the SBOM lacks the standard library")
	}
}

// unpack unpacks the archive and returns the path of the program.
func unpack(t *testing.T, dist string) string {
	t.Helper()
	dir := t.TempDir()
	run(t, command(t, dir, "tar", "xzf", filepath.Join(dist, "rollcall-"+version+"-linux-amd64.tar.gz")))
	return filepath.Join(dir, "rollcall-"+version+"-linux-amd64", "rollcall")
}

func testArchive(t *testing.T, dist string) {
	program := unpack(t, dist)
	if out := run(t, command(t, "", program, "version")); !strings.HasPrefix(out, "rollcall "+version+" ") {
		t.Errorf("got the version %q", out)
	}
	if out, _ := tryRun(command(t, "", "ldd", program)); !strings.Contains(out, "not a dynamic executable") {
		t.Errorf("the program is not static: %q", out)
	}
	if strings.Contains(read(t, program), "/tmp/rollcall-release-") {
		t.Error("the program contains the path of its build")
	}
	dir := filepath.Dir(program)
	for _, name := range []string{"LICENSE", "notices.txt", "man/rollcall.1", "man/rollcall-collector-serve.1",
		"completions/rollcall", "completions/_rollcall", "completions/rollcall.fish", "services/rollcall-agent@.service"} {
		if text := read(t, filepath.Join(dir, name)); len(text) < 100 {
			t.Errorf("%s: %q", name, text)
		}
	}
}

// testDebian installs the package, enables its units, and removes it, in a
// container whose root is this system. The triggers of other packages, such as
// the index of man pages, do not run.
func testDebian(t *testing.T, dist string) {
	c := newContainer(t)
	deb := "rollcall_0.1.0~rc.1_amd64.deb"
	write(t, filepath.Join(c.root, "tmp", deb), read(t, filepath.Join(dist, deb)))
	c.run("dpkg", "--no-triggers", "--install", "/tmp/"+deb)
	c.installed()
	c.run("dpkg", "--verify", "rollcall")
	if files := c.run("dpkg", "--listfiles", "rollcall"); !strings.Contains(files, "/usr/share/zsh/vendor-completions/_rollcall") {
		t.Errorf("got the files %q", files)
	}
	c.enable()

	// An upgrade keeps what is enabled, and the settings.
	settings := filepath.Join(c.root, "etc", "default", "rollcall-agent")
	write(t, settings, "ROLLCALL_APP=mine\n")
	c.run("dpkg", "--no-triggers", "--install", "/tmp/"+deb)
	c.enabled(true)
	if got := read(t, settings); got != "ROLLCALL_APP=mine\n" {
		t.Errorf("got the settings %q after an upgrade", got)
	}

	c.keepData()
	c.run("dpkg", "--no-triggers", "--remove", "rollcall")
	c.enabled(false)
	c.gone()
	if got := read(t, settings); got != "ROLLCALL_APP=mine\n" {
		t.Errorf("got the settings %q after the removal", got)
	}
	c.run("dpkg", "--no-triggers", "--purge", "rollcall")
	if _, err := os.Stat(settings); !os.IsNotExist(err) {
		t.Errorf("%s: %v after a purge", settings, err)
	}
	c.dataKept()
}

// testRPM does the same with rpm, which runs on Debian too.
func testRPM(t *testing.T, dist string) {
	c := newContainer(t)
	rpm := "rollcall-0.1.0~rc.1-1.x86_64.rpm"
	write(t, filepath.Join(c.root, "tmp", rpm), read(t, filepath.Join(dist, rpm)))
	c.run("rpm", "--install", "--force-debian", "--nodeps", "/tmp/"+rpm)
	c.installed()
	c.run("rpm", "--verify", "--nodeps", "rollcall")
	if files := c.run("rpm", "--query", "--list", "rollcall"); !strings.Contains(files, "/usr/share/zsh/site-functions/_rollcall") {
		t.Errorf("got the files %q", files)
	}
	c.enable()
	c.keepData()
	c.run("rpm", "--erase", "--force-debian", "rollcall")
	c.enabled(false)
	c.gone()
	c.dataKept()
}

// A container has this system as its root, with a layer of its own.
type container struct {
	t    *testing.T
	root string
}

var units = []string{"rollcall-agent.service", "rollcall-agent@myapp.service", "rollcall-collector.service"}

func newContainer(t *testing.T) *container {
	t.Helper()
	return &container{t, lab.Container(t)}
}

func (c *container) command(name string, args ...string) *exec.Cmd {
	cmd := command(c.t, "/", name, args...)
	lab.InContainer(cmd, c.root)
	cmd.Env = append(os.Environ(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8")
	return cmd
}

func (c *container) run(name string, args ...string) string {
	c.t.Helper()
	return run(c.t, c.command(name, args...))
}

// installed checks what the package brought.
func (c *container) installed() {
	t := c.t
	t.Helper()
	if out := c.run("/usr/bin/rollcall", "version"); !strings.HasPrefix(out, "rollcall "+version+" ") {
		t.Errorf("got the version %q", out)
	}
	for _, user := range []string{"rollcall-agent", "rollcall-collector"} {
		if entry := c.run("getent", "passwd", user); !strings.HasSuffix(entry, "/nologin") {
			t.Errorf("got the user %q", entry)
		}
	}
	if page := c.run("man", "--pager=cat", "rollcall-agent"); !strings.Contains(page, "--endpoint") {
		t.Errorf("got the man page %q", page)
	}
	c.run("bash", "-euc", "source /usr/share/bash-completion/completions/rollcall; complete -p rollcall")
	for _, unit := range units {
		out, err := tryRun(c.command("systemd-analyze", "verify", "--man=no", unit))
		if err != nil || strings.Contains(out, "rollcall") {
			t.Errorf("%s: %v\n%s", unit, err, out)
		}
	}
	// As its user, the program can do what the unit asks for.
	c.run("install", "-d", "-o", "rollcall-collector", "-m", "700", "/var/lib/rollcall-collector")
	c.run("setpriv", "--reuid=rollcall-collector", "--regid=rollcall-collector", "--clear-groups", "--no-new-privs",
		"/usr/bin/rollcall", "collector", "app", "add", "myapp", "--data-dir", "/var/lib/rollcall-collector")
}

func (c *container) enable() {
	c.t.Helper()
	c.enabled(false) // a package enables nothing
	c.run("systemctl", append([]string{"enable"}, units...)...)
	c.enabled(true)
}

func (c *container) enabled(want bool) {
	c.t.Helper()
	for _, unit := range units {
		_, err := os.Lstat(filepath.Join(c.root, "etc", "systemd", "system", "multi-user.target.wants", unit))
		if want != (err == nil) {
			c.t.Errorf("%s: got error %v, want it enabled: %t", unit, err, want)
		}
	}
}

// gone checks that the package left nothing of its own.
func (c *container) gone() {
	c.t.Helper()
	for _, name := range []string{"/usr/bin/rollcall", "/usr/lib/systemd/system/rollcall-agent.service", "/usr/share/man/man1/rollcall.1.gz",
		"/usr/share/doc/rollcall/notices.txt"} {
		if _, err := os.Lstat(filepath.Join(c.root, name)); !os.IsNotExist(err) {
			c.t.Errorf("%s: %v after the removal", name, err)
		}
	}
}

func (c *container) keepData() {
	write(c.t, filepath.Join(c.root, "var", "lib", "rollcall", "config.json"), "{}\n")
}

func (c *container) dataKept() {
	c.t.Helper()
	for _, name := range []string{"rollcall/config.json", "rollcall-collector/rollcall.key"} {
		if _, err := os.Stat(filepath.Join(c.root, "var", "lib", name)); err != nil {
			c.t.Errorf("the removal took data: %v", err)
		}
	}
}

// testReleasedImage compares the image of the release with the one that
// deploy/Dockerfile makes, and runs it.
func testReleasedImage(t *testing.T, dist string) {
	needEngine(t)
	e := newEngine(t)
	e.buildImage()
	id := e.podman("pull", "--quiet", "oci-archive:"+filepath.Join(dist, "rollcall-"+version+"-image.tar"))
	// OCI has no health check; a runtime that knows one reads Docker's in the settings.
	for _, field := range []string{"User", "Env", "Entrypoint", "Cmd", "ExposedPorts", "WorkingDir", "Volumes"} {
		format := "{{json .Config." + field + "}}"
		want := e.podman("image", "inspect", "--format", format, "localhost/rollcall")
		if got := e.podman("image", "inspect", "--format", format, id); withoutPath(got) != withoutPath(want) {
			t.Errorf("%s: got %s, want %s as in deploy/Dockerfile", field, got, want)
		}
	}
	if got := e.podman("image", "inspect", "--format", `{{index .Labels "org.opencontainers.image.version"}}`, id); got != version {
		t.Errorf("got the version %q", got)
	}
	// The same files, with the same owners and modes. Only the certificates differ.
	want, got := e.contents("localhost/rollcall"), e.contents(id)
	for name, is := range want {
		if got[name] != is && name != "data" { // whose --chmod buildah ignores
			t.Errorf("%s: got %q, want %q as in deploy/Dockerfile", name, got[name], is)
		}
	}
	for name := range got {
		if want[name] == "" {
			t.Errorf("%s is not in the image of deploy/Dockerfile", name)
		}
	}
	if out := e.podman("run", "--rm", "--network=host", id, "version"); !strings.HasPrefix(out, "rollcall "+version+" ") {
		t.Errorf("got the version %q", out)
	}
}

// withoutPath removes the PATH that buildah adds to an image.
func withoutPath(env string) string {
	return strings.Replace(env, `"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",`, "", 1)
}

// contents returns owner and mode of each file in an image.
func (e *engine) contents(image string) map[string]string {
	e.t.Helper()
	mounted := e.podman("image", "mount", image)
	defer e.podman("image", "unmount", image)
	files := map[string]string{}
	out := run(e.t, command(e.t, mounted, "find", ".", "-mindepth", "1", "-printf", "%P %U:%G %m\n"))
	for lines := bufio.NewScanner(strings.NewReader(out)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		files[name] = rest
	}
	return files
}
