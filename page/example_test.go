package page_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/rollcall-dev/rollcall"
	"github.com/rollcall-dev/rollcall/page"
)

// A host mounts the page beside its own, behind its login. A page without a
// login must not set AnyHost.
func ExampleHandler() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	service, err := rollcall.New(rollcall.Config{ConfigPath: filepath.Join(dir, "config.json")})
	if err != nil {
		fmt.Println(err) // service is nil, and the page says that telemetry is not running
	}
	telemetry := page.Handler(service, page.Options{Title: "Example", BasePath: "/telemetry", AnyHost: true, Rights: page.BehindLogin})

	mux := http.NewServeMux()
	mux.Handle("/telemetry/", requireLogin(telemetry))

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest("GET", "/telemetry/", nil))
	fmt.Println(w.Code, strings.Contains(w.Body.String(), "Nothing is sent"))
	// Output: 200 true
}

func requireLogin(next http.Handler) http.Handler { return next } // the host's login
