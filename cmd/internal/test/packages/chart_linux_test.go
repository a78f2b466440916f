package packages

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

const chart = "deploy/chart"

// TestChart renders the chart with helm.
func TestChart(t *testing.T) {
	needHelm(t)
	if out := run(t, command(t, root, "bin/helm", "lint", "--strict", chart)); !strings.Contains(out, "0 chart(s) failed") {
		t.Errorf("helm lint: %s", out)
	}
	t.Run("default", func(t *testing.T) {
		m := render(t)
		pod := m.pod(t)
		if got := pod.at("volumes", 0, "persistentVolumeClaim", "claimName"); got != "x-rollcall" || m.object("PersistentVolumeClaim") == nil {
			t.Errorf("got the claim %v, want a new one", got)
		}
		if got := m.object("Deployment").at("spec", "strategy", "type"); got != "Recreate" {
			t.Errorf("got the strategy %v: two pods would have one database open", got)
		}
		for _, kind := range []string{"Ingress", "PodDisruptionBudget", "ServiceMonitor"} {
			if m.object(kind) != nil {
				t.Errorf("got a %s", kind)
			}
		}
		checkPod(t, pod)
	})
	const database = "store.existingSecret=db,secret.existingSecret=secret"
	t.Run("database", func(t *testing.T) {
		m := render(t, "--set", database+",replicas=3")
		pod := m.pod(t)
		if pod.at("volumes", 0, "persistentVolumeClaim") != nil || m.object("PersistentVolumeClaim") != nil {
			t.Error("got a volume that outlives the pod")
		}
		if got := m.object("Deployment").at("spec", "strategy", "rollingUpdate", "maxUnavailable"); got != 0 {
			t.Errorf("got maxUnavailable %v: an update would refuse reports", got)
		}
		if got := m.object("PodDisruptionBudget").at("spec", "maxUnavailable"); got != 1 {
			t.Errorf("got maxUnavailable %v", got)
		}
		env := pod.env()
		for name, secret := range map[string]string{"ROLLCALL_COLLECTOR_STORE": "db/url", "ROLLCALL_COLLECTOR_SECRET": "secret/secret"} {
			if env[name] != secret {
				t.Errorf("%s: got %q, want %q", name, env[name], secret)
			}
		}
		checkPod(t, pod)
	})
	t.Run("ingress", func(t *testing.T) {
		m := render(t, "--set", "baseURL=https://example.org:8443/telemetry,ingress.enabled=true,ingress.className=nginx,ingress.tlsSecret=cert,"+
			"trustedProxies={10.0.0.0/8,fd00::/8},extraEnv[0].name=ROLLCALL_LOG_FORMAT,extraEnv[0].value=json,serviceMonitor.enabled=true,serviceMonitor.tokenSecret=token")
		rule := object{m.object("Ingress").at("spec", "rules", 0).(map[string]any)}
		if host, path := rule.at("host"), rule.at("http", "paths", 0, "path"); host != "example.org" || path != "/telemetry" {
			t.Errorf("got host %v and path %v", host, path)
		}
		if got := m.object("Ingress").at("spec", "tls", 0, "secretName"); got != "cert" {
			t.Errorf("got the certificate %v", got)
		}
		env := m.pod(t).env()
		for name, value := range map[string]string{"ROLLCALL_COLLECTOR_BASE_URL": "https://example.org:8443/telemetry",
			"ROLLCALL_COLLECTOR_TRUSTED_PROXY": "10.0.0.0/8,fd00::/8", "ROLLCALL_LOG_FORMAT": "json"} {
			if env[name] != value {
				t.Errorf("%s: got %q, want %q", name, env[name], value)
			}
		}
		if got := m.object("ServiceMonitor").at("spec", "endpoints", 0, "authorization", "credentials", "name"); got != "token" {
			t.Errorf("got the token %v", got)
		}
	})
	t.Run("claim", func(t *testing.T) {
		m := render(t, "--set", "persistence.existingClaim=mine")
		if got := m.pod(t).at("volumes", 0, "persistentVolumeClaim", "claimName"); got != "mine" || m.object("PersistentVolumeClaim") != nil {
			t.Errorf("got the claim %v", got)
		}
	})
	for name, test := range map[string]struct{ values, want string }{
		"replicas of SQLite": {"replicas=2", "SQLite on a volume serves one pod"},
		"no secret":          {"replicas=2,store.existingSecret=db", "all replicas need one secret"},
		"ingress without":    {"ingress.enabled=true", "baseURL is empty"},
		"unknown value":      {"replica=2", "replica"},
		"wrong type":         {"replicas=many", "replicas"},
		"no URL":             {"baseURL=example.org", "baseURL"},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := tryRun(command(t, root, "bin/helm", "template", "x", chart, "--set", test.values))
			if err == nil || !strings.Contains(out, test.want) {
				t.Errorf("got %v and %q, want an error with %q", err, out, test.want)
			}
		})
	}
	t.Run("notes", func(t *testing.T) {
		// helm shows them only after it has asked a cluster.
		dir := filepath.Join(t.TempDir(), "chart")
		must(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, chart))))
		must(t, os.Rename(filepath.Join(dir, "templates", "NOTES.txt"), filepath.Join(dir, "NOTES.txt")))
		write(t, filepath.Join(dir, "templates", "notes.yaml"), `notes: {{ tpl (.Files.Get "NOTES.txt") . | toJson }}`)
		for values, want := range map[string]string{
			"replicas=1": "exec deployment/x-rollcall -- /rollcall collector app add myapp",
			"baseURL=https://example.org/t,ingress.enabled=true": "No proxy is trusted",
			database: "keep the Secret secret",
		} {
			out := run(t, command(t, root, "bin/helm", "template", "x", dir, "--set", values, "--show-only", "templates/notes.yaml"))
			if notes, _ := parse(t, out)[0].at("notes").(string); !strings.Contains(notes, want) {
				t.Errorf("%s: got the notes %q, want %q in them", values, notes, want)
			}
		}
	})
}

func needHelm(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("builds helm")
	}
	lab.Need(t, lab.Tool("make"))
	run(t, command(t, root, "make", "bin/helm"))
}

// checkPod checks what holds of every pod: it has no rights.
func checkPod(t *testing.T, pod object) {
	t.Helper()
	for _, want := range []struct {
		value any
		path  []any
	}{
		{true, []any{"securityContext", "runAsNonRoot"}},
		{false, []any{"automountServiceAccountToken"}},
		{"RuntimeDefault", []any{"securityContext", "seccompProfile", "type"}},
		{true, []any{"containers", 0, "securityContext", "readOnlyRootFilesystem"}},
		{false, []any{"containers", 0, "securityContext", "allowPrivilegeEscalation"}},
		{"ALL", []any{"containers", 0, "securityContext", "capabilities", "drop", 0}},
		{"/readyz", []any{"containers", 0, "readinessProbe", "httpGet", "path"}},
		{"/healthz", []any{"containers", 0, "livenessProbe", "httpGet", "path"}},
	} {
		if got := pod.at(want.path...); got != want.value {
			t.Errorf("%v: got %v, want %v", want.path, got, want.value)
		}
	}
	if pod.at("containers", 0, "resources", "limits", "memory") == nil {
		t.Error("the container has no limit of memory")
	}
}

// manifests are the objects of a file.
type manifests []object

type object struct{ fields map[string]any }

func render(t *testing.T, args ...string) manifests {
	t.Helper()
	args = append([]string{"template", "x", chart}, args...)
	return parse(t, run(t, command(t, root, "bin/helm", args...)))
}

func parse(t *testing.T, text string) (m manifests) {
	t.Helper()
	for decoder := yaml.NewDecoder(strings.NewReader(text)); ; {
		var fields map[string]any
		if err := decoder.Decode(&fields); err == io.EOF {
			return m
		} else if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if fields != nil {
			m = append(m, object{fields})
		}
	}
}

// object returns the object of a kind, or nil.
func (m manifests) object(kind string) *object {
	for i := range m {
		if m[i].fields["kind"] == kind {
			return &m[i]
		}
	}
	return nil
}

func (m manifests) pod(t *testing.T) object {
	t.Helper()
	deployment := m.object("Deployment")
	if deployment == nil {
		t.Fatal("no Deployment")
	}
	return object{deployment.at("spec", "template", "spec").(map[string]any)}
}

// at returns the value at a path of keys and indexes, or nil.
func (o object) at(path ...any) any {
	var value any = o.fields
	for _, step := range path {
		switch step := step.(type) {
		case string:
			fields, _ := value.(map[string]any)
			value = fields[step]
		case int:
			list, _ := value.([]any)
			if step >= len(list) {
				return nil
			}
			value = list[step]
		}
	}
	return value
}

// env returns the variables of a pod's container; those of secrets as
// NAME/KEY.
func (o object) env() map[string]string {
	env := map[string]string{}
	list, _ := o.at("containers", 0, "env").([]any)
	for i := range list {
		variable := object{list[i].(map[string]any)}
		value := variable.at("value")
		if value == nil {
			value = fmt.Sprintf("%v/%v", variable.at("valueFrom", "secretKeyRef", "name"), variable.at("valueFrom", "secretKeyRef", "key"))
		}
		env[variable.fields["name"].(string)] = fmt.Sprint(value)
	}
	return env
}

// play runs the pods of manifests with podman, in the network of this machine:
// replica i listens on port i, and has a name and a volume of its own unless
// there is only one. It returns the names of the containers.
func (e *engine) play(m manifests, ports []string) (names []string) {
	t := e.t
	t.Helper()
	list := m.pod(t).at("containers", 0, "env").([]any)
	for i, port := range ports {
		pod := m.pod(t)
		deployment := *m.object("Deployment")
		name := fmt.Sprintf("replica%d", i)
		deployment.fields["metadata"] = map[string]any{"name": name}
		deployment.at("spec").(map[string]any)["replicas"] = 1
		pod.fields["hostNetwork"] = true
		container := pod.at("containers", 0).(map[string]any)
		container["image"], container["imagePullPolicy"] = "localhost/rollcall", "Never"
		// podman has probes by curl and systemd, and ports in a network of its own.
		for _, name := range []string{"ports", "startupProbe", "livenessProbe", "readinessProbe"} {
			delete(container, name)
		}
		for _, variable := range list {
			if v := variable.(map[string]any); v["name"] == "ROLLCALL_COLLECTOR_LISTEN" {
				v["value"] = "127.0.0.1:" + port
			}
		}
		if m.pod(t).env()["ROLLCALL_COLLECTOR_STORE"] != "" {
			// In a cluster each pod has an address of its own.
			variable := map[string]any{"name": "ROLLCALL_COLLECTOR_REPLICA_LISTEN", "value": "127.0.0.1:" + freePort(t)}
			container["env"] = append(slices.Clone(list), variable)
		}
		volume, mount := pod.at("volumes", 0).(map[string]any), pod.at("containers", 0, "volumeMounts", 0).(map[string]any)
		if volume["emptyDir"] != nil { // podman names one as in the manifest, for all pods
			volume["name"], mount["name"] = name, name
		}
		var text strings.Builder
		encoder := yaml.NewEncoder(&text)
		must(t, encoder.Encode(deployment.fields))
		if claim := m.object("PersistentVolumeClaim"); claim != nil && !e.has("volume", claim.at("metadata", "name").(string)) {
			must(t, encoder.Encode(claim.fields))
		}
		file := filepath.Join(t.TempDir(), "pod.yaml")
		write(t, file, text.String())
		e.podman("kube", "play", file)
		names = append(names, name+"-pod-0-collector")
	}
	return names
}

// has reports whether there is a volume or another thing of this name.
func (e *engine) has(kind, name string) bool {
	_, err := tryRun(e.command("podman", kind, "exists", name))
	return err == nil
}

// secret creates a Secret of Kubernetes.
func (e *engine) secret(name string, values map[string][]byte) {
	e.t.Helper()
	data, err := json.Marshal(values)
	must(e.t, err)
	file := filepath.Join(e.t.TempDir(), name)
	write(e.t, file, string(data))
	e.podman("secret", "create", name, file)
}

// testPlayed runs the plain manifest and the rendered chart on SQLite.
func testPlayed(t *testing.T, e *engine) {
	needHelm(t)
	played := map[string]manifests{
		"chart":    render(t),
		"manifest": parse(t, read(t, filepath.Join(root, "deploy", "kubernetes.yaml"))),
	}
	for name, m := range played {
		t.Run(name, func(t *testing.T) {
			e := e.of(t)
			checkPod(t, m.pod(t)) // play changes it
			port := freePort(t)
			container := e.play(m, []string{port})[0]
			answers(t, "http://127.0.0.1:"+port+"/readyz")
			e.podman("exec", container, "/rollcall", "collector", "app", "add", "myapp")
			e.stopped(container)
			e.podman("pod", "rm", "--force", "--all")
			// The volume outlives the pod.
			container = e.play(m, []string{port})[0]
			answers(t, "http://127.0.0.1:"+port+"/readyz")
			if apps := e.podman("exec", container, "/rollcall", "collector", "app", "list"); !strings.Contains(apps, "myapp") {
				t.Errorf("got the apps %q from a second pod", apps)
			}
			e.podman("pod", "rm", "--force", "--all")
			e.podman("volume", "rm", "--all", "--force")
		})
	}
}
