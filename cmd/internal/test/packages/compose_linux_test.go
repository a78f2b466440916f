package packages

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// A composeFile is what this test knows of the form: another key is a mistake.
type composeFile struct {
	Services map[string]composeService `yaml:"services"`
	Volumes  map[string]*struct{}      `yaml:"volumes"`
}

type composeService struct {
	Image string `yaml:"image"`
	Build struct {
		Context    string `yaml:"context"`
		Dockerfile string `yaml:"dockerfile"`
	} `yaml:"build"`
	Command     []string          `yaml:"command"`
	User        string            `yaml:"user"`
	Volumes     []string          `yaml:"volumes"`
	Ports       []string          `yaml:"ports"`
	Environment map[string]string `yaml:"environment"`
	Healthcheck struct {
		Test        []string `yaml:"test"`
		Interval    string   `yaml:"interval"`
		Timeout     string   `yaml:"timeout"`
		StartPeriod string   `yaml:"start_period"`
	} `yaml:"healthcheck"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	SecurityOpt     []string `yaml:"security_opt"`
	MemLimit        string   `yaml:"mem_limit"`
	Restart         string   `yaml:"restart"`
	StopGracePeriod string   `yaml:"stop_grace_period"`
}

var composeVariable = regexp.MustCompile(`\$\{([A-Z_]+):-([^}]*)\}`)

// loadCompose reads a compose file, and puts these variables in.
func loadCompose(t *testing.T, name string, variables map[string]string) composeFile {
	t.Helper()
	text := composeVariable.ReplaceAllStringFunc(read(t, filepath.Join(root, name)), func(found string) string {
		match := composeVariable.FindStringSubmatch(found)
		if value := variables[match[1]]; value != "" {
			return value
		}
		return match[2]
	})
	decoder := yaml.NewDecoder(strings.NewReader(text))
	decoder.KnownFields(true)
	var file composeFile
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for service, s := range file.Services {
		context := filepath.Join(root, filepath.Dir(name), s.Build.Context)
		if _, err := os.Stat(filepath.Join(context, s.Build.Dockerfile)); err != nil {
			t.Errorf("%s: %s: %v", name, service, err)
		}
		for _, port := range s.Ports {
			if !strings.HasPrefix(port, "127.0.0.1:") {
				t.Errorf("%s: %s publishes the port %s to other machines", name, service, port)
			}
		}
	}
	return file
}

// start runs a service as compose does, but in the network of this machine, on
// a port that is free. It returns the name of the container.
func (e *engine) start(s composeService, dir string, environment map[string]string) string {
	e.t.Helper()
	args := []string{"run", "--detach", "--network=host", "--name", "service", "--restart", s.Restart, "--memory", s.MemLimit,
		fmt.Sprintf("--read-only=%t", s.ReadOnly), "--stop-timeout", strings.TrimSuffix(s.StopGracePeriod, "s")}
	if s.User != "" {
		args = append(args, "--user", s.User)
	}
	for _, name := range s.CapDrop {
		args = append(args, "--cap-drop", name)
	}
	for _, option := range s.SecurityOpt {
		args = append(args, "--security-opt", strings.TrimSuffix(option, ":true"))
	}
	for _, volume := range s.Volumes {
		source, target, _ := strings.Cut(volume, ":")
		if strings.HasPrefix(source, ".") {
			source = filepath.Join(dir, source)
		}
		args = append(args, "--volume", source+":"+target)
	}
	for _, values := range []map[string]string{s.Environment, environment} {
		for name, value := range values {
			args = append(args, "--env", name+"="+value)
		}
	}
	if h := s.Healthcheck; len(h.Test) > 0 {
		if h.Test[0] != "CMD" {
			e.t.Fatalf("the image has no shell for the health check %q", h.Test)
		}
		quoted := `["` + strings.Join(h.Test[1:], `","`) + `"]` // podman puts CMD before an array
		args = append(args, "--health-cmd", quoted, "--health-timeout", h.Timeout, "--health-start-period", h.StartPeriod)
	}
	e.podman(append(append(args, s.Image), s.Command...)...)
	return "service"
}

// testComposeAgent does what docker-compose.yml says at its top.
func testComposeAgent(t *testing.T, e *engine) {
	file := loadCompose(t, "docker-compose.yml", map[string]string{"ROLLCALL_UID": "1000", "ROLLCALL_GID": "1000"})
	dir := t.TempDir()
	must(t, os.Chmod(filepath.Dir(dir), 0o755))
	must(t, os.Mkdir(filepath.Join(dir, "config"), 0o755))
	must(t, os.Chown(filepath.Join(dir, "config"), 1000, 1000))
	port := freePort(t)
	name := e.start(file.Services["rollcall"], dir, map[string]string{"ROLLCALL_LISTEN": "127.0.0.1:" + port})
	answers(t, "http://127.0.0.1:"+port+"/readyz")
	shell := func(script string) string { return run(t, command(t, dir, "sh", "-euc", script)) }
	id := shell("jq --exit-status --raw-output .telemetry.installation_id config/config.json")
	logs := filepath.Join(dir, "logs")
	must(t, os.WriteFile(logs, []byte(e.awaitLogs("Telemetry service started", name)), 0o644))
	if lines := shell("grep 'installation ID' logs"); !strings.Contains(lines, "Generated new anonymous installation ID") || !strings.Contains(lines, id[:8]) {
		t.Errorf("got the lines %q about the ID %s", lines, id)
	}
	if out := e.podman("exec", name, "/rollcall", "id"); out != id {
		t.Errorf("got the ID %q inside, want %s", out, id)
	}
	if out := e.podman("exec", name, "/rollcall", "page"); !strings.Contains(out, "/sign-in/") {
		t.Errorf("got the link %q", out)
	}
	e.healthy(name)
	e.stopped(name)
	e.podman("start", name)
	answers(t, "http://127.0.0.1:"+port+"/readyz")
	last := e.awaitLogs("Telemetry service started", "--tail", "1", name)
	if !strings.Contains(last, "has_persistent_id=true") {
		t.Errorf("got the line %q after a restart", last)
	}
	e.stopped(name)
	e.podman("rm", name)
}

// stopped stops a container, which must end by itself and without an error.
func (e *engine) stopped(name string) {
	e.t.Helper()
	e.podman("stop", "--time", "60", name)
	if code := e.podman("inspect", "--format", "{{.State.ExitCode}}", name); code != "0" {
		e.t.Errorf("%s ended with %s\n%s", name, code, e.logs(name))
	}
}

// testComposeCollector does what deploy/docker-compose.collector.yml says.
func testComposeCollector(t *testing.T, e *engine) {
	file := loadCompose(t, "deploy/docker-compose.collector.yml", nil)
	port := freePort(t)
	service := file.Services["collector"]
	for _, volume := range service.Volumes {
		name, _, _ := strings.Cut(volume, ":")
		if _, ok := file.Volumes[name]; !ok {
			t.Errorf("the volume %s is not declared", name)
		}
	}
	name := e.start(service, t.TempDir(), map[string]string{"ROLLCALL_COLLECTOR_LISTEN": "127.0.0.1:" + port})
	answers(t, "http://127.0.0.1:"+port+"/readyz")
	e.podman("exec", name, "/rollcall", "collector", "app", "add", "myapp")
	if token := e.podman("exec", name, "/rollcall", "collector", "token", "add", "me", "--admin"); !strings.Contains(token, "rct_") {
		t.Errorf("got the token %q", token)
	}
	e.healthy(name)
	e.stopped(name)
	e.podman("rm", name)
	// The volume keeps what the container had.
	name = e.start(service, t.TempDir(), map[string]string{"ROLLCALL_COLLECTOR_LISTEN": "127.0.0.1:" + port})
	answers(t, "http://127.0.0.1:"+port+"/readyz")
	if apps := e.podman("exec", name, "/rollcall", "collector", "app", "list"); !slices.Contains(strings.Fields(apps), "myapp") {
		t.Errorf("got the apps %q from a second container", apps)
	}
	e.stopped(name)
	e.podman("rm", name)
}
