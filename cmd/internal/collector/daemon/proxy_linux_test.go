package daemon_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/access"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/lab"
)

// The proxy configurations of the documents. {PROXY} and
// {COLLECTOR} are addresses, {DIR} is a directory.
var proxies = map[string]struct {
	tool   string
	args   []string
	config string
}{
	"nginx": {"nginx", []string{"-p", "{DIR}", "-c", "{DIR}/config", "-e", "stderr", "-g", "daemon off;"}, `
		user root; pid {DIR}/pid; events {}
		http {
			access_log off; client_body_temp_path {DIR}/b; proxy_temp_path {DIR}/p; fastcgi_temp_path {DIR}/f; uwsgi_temp_path {DIR}/u; scgi_temp_path {DIR}/s;
			server {
				listen {PROXY};
				location /telemetry/ {
					proxy_pass http://{COLLECTOR}/;
					proxy_set_header Host $host;
					proxy_set_header X-Forwarded-For $remote_addr;
				}
			}
		}`},
	"nginx without stripping": {"nginx", []string{"-p", "{DIR}", "-c", "{DIR}/config", "-e", "stderr", "-g", "daemon off;"}, `
		user root; pid {DIR}/pid; events {}
		http {
			access_log off; client_body_temp_path {DIR}/b; proxy_temp_path {DIR}/p; fastcgi_temp_path {DIR}/f; uwsgi_temp_path {DIR}/u; scgi_temp_path {DIR}/s;
			server { listen {PROXY}; location /telemetry/ { proxy_pass http://{COLLECTOR}; } }
		}`},
	"caddy": {"caddy", []string{"run", "--adapter", "caddyfile", "--config", "{DIR}/config"}, `
		{
			admin off
			auto_https off
		}
		http://stats.example:{PORT} {
			bind 127.0.0.1
			redir /telemetry /telemetry/
			handle_path /telemetry/* {
				reverse_proxy {COLLECTOR}
			}
		}`},
}

// Under the path of a proxy, its address and every link of the pages lead to a
// page, a person can sign in, and reports are counted.
func TestBehindProxyWithPath(t *testing.T) {
	for name, proxy := range proxies {
		t.Run(name, func(t *testing.T) {
			lab.Need(t, lab.Tool(proxy.tool))
			port := strconv.Itoa(lab.FreePort(t))
			address := "127.0.0.1:" + port
			base := "http://stats.example:" + port + "/telemetry"
			d, _ := start(t, daemon.Options{
				Dir: t.TempDir(), Listen: loopback, BaseURL: base, TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")},
			})
			if _, err := d.Collector().AddApp(t.Context(), collector.App{Key: "myapp"}); err != nil {
				t.Fatal(err)
			}
			token, err := d.Tokens().Add(t.Context(), access.Machine, "reader", access.Admin, "")
			if err != nil {
				t.Fatal(err)
			}
			fill := strings.NewReplacer("{DIR}", t.TempDir(), "{PROXY}", address, "{PORT}", port, "{COLLECTOR}", d.Addr().String())
			runProxy(t, address, proxy.tool, proxy.args, proxy.config, fill)

			jar, _ := cookiejar.New(nil)
			client := &http.Client{Jar: jar, Timeout: 30 * time.Second, Transport: &http.Transport{
				DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
					return new(net.Dialer).DialContext(ctx, network, address)
				},
			}}
			response, err := client.Post(base+"/v1/heartbeat", "application/json", strings.NewReader(fullHeartbeat()))
			if body := read(t, response, err); response.StatusCode != http.StatusOK {
				t.Fatalf("heartbeat: got %d %s", response.StatusCode, body)
			}
			response, err = client.Get(base) // as people type it
			read(t, response, err)
			if at := response.Request.URL.String(); response.StatusCode != http.StatusOK || at != base+"/signin" {
				t.Errorf("%s: got %d at %s", base, response.StatusCode, at)
			}
			form := url.Values{"token": {token}, "next": {"/a/myapp/versions?days=7"}}
			request, _ := http.NewRequestWithContext(t.Context(), "POST", base+"/signin", strings.NewReader(form.Encode()))
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			request.Header.Set("Origin", "http://stats.example:"+port)
			response, err = client.Do(request)
			page := read(t, response, err)
			if at := response.Request.URL.String(); response.StatusCode != http.StatusOK || at != base+"/a/myapp/versions?days=7" {
				t.Fatalf("after signing in: %d at %s", response.StatusCode, at)
			}
			links := regexp.MustCompile(`(?:href|src)="([^"#]+)"`).FindAllStringSubmatch(page, -1)
			if len(links) < 20 {
				t.Fatalf("got %d links", len(links))
			}
			seen := make(map[string]bool)
			for _, link := range links {
				if target := strings.ReplaceAll(link[1], "&amp;", "&"); !seen[target] {
					seen[target] = true
					response, err := client.Get("http://stats.example:" + port + target)
					if read(t, response, err); response.StatusCode != http.StatusOK {
						t.Errorf("%s: got %d", target, response.StatusCode)
					}
				}
			}
		})
	}
}

// runProxy runs a proxy until the test ends, and waits until it listens.
func runProxy(t *testing.T, address, tool string, args []string, config string, fill *strings.Replacer) {
	t.Helper()
	dir := fill.Replace("{DIR}")
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte(fill.Replace(config)), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatal(err)
	}
	var filled []string
	for _, arg := range args {
		filled = append(filled, fill.Replace(arg))
	}
	cmd := exec.CommandContext(t.Context(), path, filled...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	output, err := os.Create(filepath.Join(dir, "output"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { cmd.Wait(); close(ended) }()
	t.Cleanup(func() { <-ended })
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		select {
		case <-ended:
			text, _ := os.ReadFile(output.Name())
			t.Fatalf("%s ended: %s", tool, text)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func read(t *testing.T, response *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func fullHeartbeat() string {
	return fmt.Sprintf(`{"schema":1,"app":"myapp","installation_id":"11111111-1111-4111-8111-111111111111",`+
		`"id_persistence":"persisted","sent_at":"%s","version":"1.0.0"}`, time.Now().UTC().Format(time.RFC3339))
}
