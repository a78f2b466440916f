package packages

import (
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// testReplicas runs three replicas on a PostgreSQL beside them, from the chart
// and from the plain manifest: each receives, and what they acknowledged is
// there when one of them is killed.
func testReplicas(t *testing.T, e *engine) {
	needHelm(t)
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{})
	e.secret("rollcall-secret", map[string][]byte{"secret": []byte(strings.Repeat("0123456789abcdef", 4))})
	for name, m := range map[string]manifests{
		"chart":    render(t, "--set", "replicas=3,store.existingSecret=rollcall-store,secret.existingSecret=rollcall-secret"),
		"manifest": parse(t, read(t, filepath.Join(root, "deploy", "kubernetes-postgres.yaml"))),
	} {
		t.Run(name, func(t *testing.T) {
			e := e.of(t)
			checkPod(t, m.pod(t))
			if got := m.object("Deployment").at("spec", "replicas"); got != 3 {
				t.Errorf("got %v replicas", got)
			}
			e.secret("rollcall-store", map[string][]byte{"url": []byte(server.URL(server.NewDatabase(t)))})
			defer e.podman("secret", "rm", "rollcall-store")
			ports := []string{freePort(t), freePort(t), freePort(t)}
			containers := e.play(m, ports)
			for _, port := range ports {
				answers(t, "http://127.0.0.1:"+port+"/readyz")
			}
			e.podman("exec", containers[0], "/rollcall", "collector", "app", "add", "myapp")

			var acknowledged []string
			report := func(port string) {
				id := fmt.Sprintf("8f14e45f-ceea-467f-9575-%012d", len(acknowledged))
				eventually(t, "a heartbeat is accepted at port "+port, func() bool { return heartbeat(port, id) })
				acknowledged = append(acknowledged, id)
			}
			for _, port := range ports {
				report(port)
			}
			// One after the other is killed, so that the one that counts is among them.
			for i, container := range containers[:2] {
				e.podman("kill", "--signal", "KILL", container)
				for _, port := range ports[i+1:] {
					report(port)
				}
			}
			for _, id := range acknowledged {
				answers(t, "http://127.0.0.1:"+ports[2]+"/v1/installations/"+id)
			}
			e.stopped(containers[2])
			e.podman("pod", "rm", "--force", "--all")
			e.podman("volume", "rm", "--all", "--force")
		})
	}
}

// heartbeat reports as an installation, and reports whether it was accepted.
func heartbeat(port, id string) bool {
	body := fmt.Sprintf(`{"schema":1,"app":"myapp","installation_id":%q,"id_persistence":"persisted","sent_at":%q,"version":"1.0.0"}`,
		id, time.Now().UTC().Format(time.RFC3339))
	client := &http.Client{Timeout: 30 * time.Second}
	response, err := client.Post("http://127.0.0.1:"+port+"/v1/heartbeat", "application/json", strings.NewReader(body))
	if err != nil {
		return false
	}
	response.Body.Close()
	return response.StatusCode/100 == 2
}
