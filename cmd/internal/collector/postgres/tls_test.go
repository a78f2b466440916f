package postgres_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/postgres"
	"github.com/rollcall-dev/rollcall/cmd/internal/test/pgserver"
)

// An authority issues certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	file        string // of the certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of a test"}, NotAfter: time.Now().AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a := &authority{certificate: template, key: newKey(t), file: filepath.Join(t.TempDir(), "ca.pem")}
	a.certificate.Raw = a.sign(t, template, &a.key.PublicKey)
	if err := os.WriteFile(a.file, encode("CERTIFICATE", a.certificate.Raw), 0o644); err != nil {
		t.Fatal(err)
	}
	return a
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PublicKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// issue returns a certificate and its key in PEM form.
func (a *authority) issue(t *testing.T, template *x509.Certificate) (certificate, key []byte) {
	t.Helper()
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().AddDate(0, 1, 0)
	}
	private := newKey(t)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return encode("CERTIFICATE", a.sign(t, template, &private.PublicKey)), encode("PRIVATE KEY", text)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// With sslmode=verify-full, every connection, also that for commits, requires
// the server's name and the authority.
func TestTLS(t *testing.T) {
	server := pgserver.Start(t, pgserver.V15, pgserver.Options{Settings: []string{"fsync = off"}})
	ours, others := newAuthority(t), newAuthority(t)
	certificate, key := ours.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	server.Exec(t, "postgres", "ALTER SYSTEM SET ssl_cert_file = '"+server.WriteFile(t, "server.pem", certificate)+"'",
		"ALTER SYSTEM SET ssl_key_file = '"+server.WriteFile(t, "server.key", key)+"'",
		"ALTER SYSTEM SET ssl_ca_file = '"+server.WriteFile(t, "clients.pem", encode("CERTIFICATE", ours.certificate.Raw))+"'",
		"ALTER SYSTEM SET ssl = on", "SELECT pg_reload_conf()")
	at := func(host, query string) string {
		address := strings.Replace(server.URL("postgres"), "sslmode=disable", query, 1)
		return strings.Replace(address, "127.0.0.1", host, 1)
	}
	trusted := "sslmode=verify-full&sslrootcert=" + url.QueryEscape(ours.file)
	var db *postgres.DB
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) { // until the setting has arrived
		var err error
		if db, err = postgres.Open(t.Context(), postgres.Config{URL: at("127.0.0.1", trusted)}); err == nil {
			break
		}
		if !errors.Is(err, postgres.ErrTLS) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(db.Close)
	s := take(t, db)
	if _, err := s.Commit(t.Context(), numbered(1, 10)); err != nil {
		t.Errorf("commit over TLS: %v", err)
	}
	server.Exec(t, "postgres", `DO $$ BEGIN IF (SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
		WHERE application_name = 'rollcall' AND NOT ssl) > 0 THEN RAISE 'a connection without TLS'; END IF; END $$`)

	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, test := range []struct {
		what, url string
		want      error
		says      string
	}{
		{"another authority", at("127.0.0.1", "sslmode=verify-full&sslrootcert="+url.QueryEscape(others.file)), postgres.ErrTLS, "unknown authority"},
		{"another authority, verify-ca", at("127.0.0.1", "sslmode=verify-ca&sslrootcert="+url.QueryEscape(others.file)), postgres.ErrTLS, "unknown authority"},
		{"another name", at("localhost", trusted), postgres.ErrTLS, "localhost"},
		{"the authorities of the system", at("127.0.0.1", "sslmode=verify-full"), postgres.ErrTLS, "unknown authority"},
		{"no file of an authority", at("127.0.0.1", "sslmode=verify-full&sslrootcert="+url.QueryEscape(missing)), postgres.ErrConfig, "missing.pem"},
		{"no such mode", at("127.0.0.1", "sslmode=verify-everything"), postgres.ErrConfig, "sslmode"},
	} {
		err := failToOpen(t, test.url)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %v that says %q", test.what, err, test.want, test.says)
		}
		if errors.Is(err, collector.ErrUnavailable) {
			t.Errorf("%s: it counts as an outage: %v", test.what, err)
		}
	}
	open(t, at("127.0.0.1", "sslmode=require"))
	open(t, at("localhost", "sslmode=verify-ca&sslrootcert="+url.QueryEscape(ours.file)))

	// A certificate of the client in place of a password.
	certificate, key = ours.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "by_certificate"}})
	dir := t.TempDir()
	for name, text := range map[string][]byte{"client.pem": certificate, "client.key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	server.Exec(t, "postgres", "CREATE ROLE by_certificate SUPERUSER LOGIN")
	server.WriteFile(t, "data/pg_hba.conf", []byte("local all all trust\nhostssl all by_certificate all cert\nhost all postgres all scram-sha-256\n"))
	server.Exec(t, "postgres", "SELECT pg_reload_conf()")
	own := fmt.Sprintf("postgres://by_certificate@127.0.0.1:%d/postgres?%s", server.Port, trusted)
	withCertificate := own + "&sslcert=" + url.QueryEscape(filepath.Join(dir, "client.pem")) + "&sslkey=" + url.QueryEscape(filepath.Join(dir, "client.key"))
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, _, err := postgres.Probe(t.Context(), postgres.Config{URL: withCertificate}); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("certificate of the client: %v", err)
		}
	}
	if err := failToOpen(t, own); !errors.Is(err, postgres.ErrPassword) {
		t.Errorf("without a certificate: got %v, want ErrPassword", err)
	}
}

// Over a Unix socket, without a password.
func TestUnixSocket(t *testing.T) {
	server := pgserver.Shared(t, pgserver.V15)
	database := server.NewDatabase(t)
	address := fmt.Sprintf("postgres:///%s?host=%s&port=%d&user=postgres", database, url.QueryEscape(server.Dir), server.Port)
	s := take(t, open(t, address))
	if _, err := s.Commit(t.Context(), numbered(1, 10)); err != nil {
		t.Errorf("commit: %v", err)
	}
	nowhere := fmt.Sprintf("postgres:///%s?host=%s&user=postgres", database, url.QueryEscape(t.TempDir()))
	if err := failToOpen(t, nowhere); !errors.Is(err, collector.ErrUnavailable) {
		t.Errorf("no socket: got %v, want ErrUnavailable", err)
	}
}

// A password file that others can read is refused, and says so.
func TestPasswordFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no such mode")
	}
	server := pgserver.Shared(t, pgserver.V15)
	const role = "by_password_file"
	server.Exec(t, "postgres", "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD 'of the file'")
	t.Cleanup(func() { server.Exec(t, "postgres", "DROP ROLE "+role) })
	database := server.NewDatabase(t)
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("PGPASSFILE", "")
	t.Setenv("PGPASSWORD", "")
	line := fmt.Sprintf("127.0.0.1:%d:*:%s:of the file\n", server.Port, role)
	address := fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", role, server.Port, database)
	if err := failToOpen(t, address); !errors.Is(err, postgres.ErrPassword) {
		t.Errorf("no file: got %v, want ErrPassword", err)
	}
	for what, use := range map[string]func(file string) string{
		"in the home directory": func(string) string { return address },
		"by PGPASSFILE":         func(file string) string { t.Setenv("PGPASSFILE", file); return address },
		"in the address":        func(file string) string { return address + "&passfile=" + url.QueryEscape(file) },
	} {
		file := filepath.Join(home, ".pgpass")
		if what != "in the home directory" {
			file = filepath.Join(t.TempDir(), "passwords")
		}
		for mode, want := range map[fs.FileMode]error{0o600: nil, 0o400: nil, 0o640: postgres.ErrPassfile, 0o644: postgres.ErrPassfile, 0o604: postgres.ErrPassfile} {
			os.Remove(file)
			if err := errors.Join(os.WriteFile(file, []byte(line), 0o600), os.Chmod(file, mode)); err != nil {
				t.Fatal(err)
			}
			_, _, err := postgres.Probe(t.Context(), postgres.Config{URL: use(file)})
			if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), fmt.Sprintf("has mode %04o", mode)) {
				t.Errorf("%s with mode %04o: got %v, want %v", what, mode, err, want)
			}
			if err != nil && strings.Contains(err.Error(), "of the file") {
				t.Errorf("the message contains the password: %v", err)
			}
		}
		os.Remove(file)
		t.Setenv("PGPASSFILE", "")
	}
	// A password given in another way makes the file irrelevant.
	if err := os.WriteFile(filepath.Join(home, ".pgpass"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PGPASSWORD", "of the file")
	open(t, address)
}
