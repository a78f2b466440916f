package warehouse_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/warehouse"
)

const (
	accessKey = "AKIDEXAMPLE"
	secretKey = "not a secret"
	region    = "eu-central-1"
)

// A service keeps objects, and checks signatures as the specification has it.
type service struct {
	mu      sync.Mutex
	objects map[string][]byte
	answer  int // instead of what is right, if not 0
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	switch {
	case s.answer != 0:
		w.WriteHeader(s.answer)
	case r.Header.Get("Authorization") != authorization(r, body):
		w.WriteHeader(http.StatusForbidden)
	case r.Method == http.MethodPut:
		s.objects[r.URL.Path] = body
	case s.objects[r.URL.Path] == nil:
		w.WriteHeader(http.StatusNotFound)
	}
}

// authorization computes the header from the specification.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
func authorization(r *http.Request, body []byte) string {
	_, signed, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
	signed, _, _ = strings.Cut(signed, ",")
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n" + r.URL.EscapedPath() + "\n\n")
	for name := range strings.SplitSeq(signed, ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		canonical.WriteString(name + ":" + value + "\n")
	}
	canonical.WriteString("\n" + signed + "\n" + hash)
	at := r.Header.Get("X-Amz-Date")
	scope := at[:8] + "/" + region + "/s3/aws4_request"
	request := sha256.Sum256([]byte(canonical.String()))
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{at[:8], region, "s3", "aws4_request"} {
		key = mac(key, part)
	}
	signature := mac(key, "AWS4-HMAC-SHA256\n"+at+"\n"+scope+"\n"+hex.EncodeToString(request[:]))
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", accessKey, scope, signed, signature)
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func environment(endpoint string, changes ...string) func(string) string {
	set := map[string]string{
		"AWS_ACCESS_KEY_ID": accessKey, "AWS_SECRET_ACCESS_KEY": secretKey, "AWS_REGION": region, "AWS_ENDPOINT_URL": endpoint,
	}
	for i := 0; i < len(changes); i += 2 {
		set[changes[i]] = changes[i+1]
	}
	return func(name string) string { return set[name] }
}

func TestBucket(t *testing.T) {
	s := &service{objects: make(map[string][]byte)}
	server := httptest.NewServer(s)
	defer server.Close()
	target, err := warehouse.OpenTarget("s3://figures/a prefix/", environment(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	const name = "app=x/day=2026-05-06/figures.parquet"
	if exists, err := target.Exists(t.Context(), name); exists || err != nil {
		t.Errorf("before: got %v, %v", exists, err)
	}
	if err := target.Put(t.Context(), name, []byte("data")); err != nil {
		t.Fatal(err)
	}
	if exists, err := target.Exists(t.Context(), name); !exists || err != nil {
		t.Errorf("after: got %v, %v", exists, err)
	}
	if got := s.objects["/figures/a prefix/"+name]; string(got) != "data" {
		t.Errorf("got objects %q", s.objects)
	}

	wrong, err := warehouse.OpenTarget("s3://figures", environment(server.URL, "AWS_SECRET_ACCESS_KEY", "wrong"))
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Put(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), "403: the key is wrong, or lacks") {
		t.Errorf("with a wrong key: got %v", err)
	}
	if _, err := wrong.Exists(t.Context(), name); err == nil {
		t.Error("with a wrong key: the file is said to be missing")
	}
	s.answer = http.StatusTemporaryRedirect
	if err := target.Put(t.Context(), name, nil); err == nil || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("in another region: got %v", err)
	}
}

func TestOpenTarget(t *testing.T) {
	for _, tt := range []struct{ text, variable, value string }{
		{"", "", ""},
		{"gs://bucket", "", ""},
		{"s3://", "", ""},
		{"s3://user:password@bucket", "", ""},
		{"s3://bucket?region=x", "", ""},
		{"s3://bucket", "AWS_ACCESS_KEY_ID", ""},
		{"s3://bucket", "AWS_SECRET_ACCESS_KEY", ""},
		{"s3://bucket", "AWS_ENDPOINT_URL", "minio:9000"},
	} {
		if target, err := warehouse.OpenTarget(tt.text, environment("", tt.variable, tt.value)); err == nil {
			t.Errorf("%q with %s=%q: got %v, want an error", tt.text, tt.variable, tt.value, target)
		}
	}
	if target, err := warehouse.OpenTarget("s3://bucket/x", environment("")); err != nil || target.String() != "s3://bucket/x" {
		t.Errorf("got %v, %v", target, err)
	}
}
