package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/counter"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/replica"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/warehouse"
	"github.com/spf13/cobra"
)

const defaultCollectorListen = "127.0.0.1:8947"

func newCollectorServe() *cobra.Command {
	s := &collectorServe{}
	return with(&cobra.Command{
		Use:   "serve",
		Short: "Run the collector",
		Long: `Run the collector until a signal stops it. It receives heartbeats and health
reports, and serves the dashboard, the JSON API (described at
/api/openapi.json), /healthz, /readyz and /metrics. What it has acknowledged is
on disk.

By default it listens on loopback without TLS, for a proxy with TLS on the same
machine. --trusted-proxy names the proxies whose X-Forwarded-For header is
trusted. The collector can also serve TLS itself: with --tls-cert and --tls-key,
which are reloaded when they change, or with --acme-domain, for which Let's
Encrypt has to reach it on port 443, or on port 80 at --plain-listen. Setting
--acme-domain accepts the authority's terms of service.

The first start creates the data directory, with the database and the secret key
under which installations are known. If you lose the key, you lose the count:
see "rollcall collector backup".

With --store postgres://..., a PostgreSQL database (15 or later) holds what is
counted. Any number of collectors with the same --store and the same key form one:
all receive, and serve the pages, and one of them counts. If it ends or fails,
another one counts within seconds. Give them the key with --secret-file or
ROLLCALL_COLLECTOR_SECRET, and they need no data directory. They reach each other
at --replica-listen, by TLS with keys that follow from the secret.

SIGTERM and SIGINT stop it with exit code 0 within --stop-timeout, after the
requests in flight. A second signal stops it at once; nothing that it
acknowledged is lost. Under systemd, Type=notify and WatchdogSec= work.`,
		Example: "  rollcall collector serve\n  rollcall collector serve --listen :443 --acme-domain collector.example --acme-email me@example.com\n" +
			"  rollcall collector serve --data-dir /srv/rollcall --trusted-proxy 127.0.0.1",
		Args: noArguments,
		RunE: s.run,
	}, s, &s.data, &s.log)
}

type collectorServe struct {
	data    dataDirFlag
	log     logFlags
	options daemon.Options
	proxies []string
	allow   []string // networks of webhooks
}

func (s *collectorServe) add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &s.options
	addCollectorFlag(flags, textValue(&o.Listen, "address", defaultCollectorListen), "listen", "address of the server, host:port")
	addCollectorFlag(flags, textValue(&o.ReplicaListen, "address", ""), "replica-listen",
		"with --store, where other collectors reach this one; the default is port "+defaultReplicaPort+
			" of --listen's host; \"off\" for one that only waits until it can count")
	addCollectorFlag(flags, textValue(&o.ReplicaAddress, "address", ""), "replica-address",
		"the address that they reach it by, if it differs; each replica needs its own")
	addCollectorFlag(flags, durationValue(&o.Lease, replica.DefaultLease), "lease",
		"with --store, how long the collector that counts may be silent before another one takes over; 1s at least")
	addCollectorFlag(flags, durationValue(&o.Drain, daemon.DefaultDrain), "drain",
		"with other collectors, how long it goes on receiving after a signal, while /readyz fails")
	addCollectorFlag(flags, textValue(&o.PlainListen, "address", ""), "plain-listen",
		"a second address without TLS: it redirects browsers, and answers HTTP-01 challenges of ACME")
	addCollectorFlag(flags, textValue(&o.TLSCert, "file", ""), "tls-cert", "certificate chain in PEM form")
	addCollectorFlag(flags, textValue(&o.TLSKey, "file", ""), "tls-key", "its key in PEM form")
	addCollectorFlag(flags, listValue(&o.ACMEDomains, "names"), "acme-domain",
		"names to request certificates for, separated by commas")
	addCollectorFlag(flags, textValue(&o.ACMEEmail, "address", ""), "acme-email", "where the authority may send mail")
	addCollectorFlag(flags, textValue(&o.ACMEDirectory, "URL", ""), "acme-directory",
		"the authority; by default that of Let's Encrypt")
	addCollectorFlag(flags, textValue(&o.BaseURL, "URL", ""), "base-url",
		"where people open the pages, such as https://example.org/telemetry; needed behind a proxy with a path, and for a name without TLS")
	addCollectorFlag(flags, listValue(&s.proxies, "addresses"), "trusted-proxy",
		"addresses or networks of trusted proxies, separated by commas")
	addCollectorFlag(flags, listValue(&s.allow, "addresses"), "webhook-allow",
		"addresses or networks, besides public ones, that alerts may go to, separated by commas")
	addCollectorFlag(flags, textValue(&o.CountryDB, "file", ""), "country-db",
		"a country database in MaxMind's format; without it and --country-header no country is stored")
	addCollectorFlag(flags, textValue(&o.CountryHeader, "name", ""), "country-header",
		"header that trusted proxies set to a client's country, such as CF-IPCountry")
	addCollectorFlag(flags, textValue(&o.AuditLog, "file", ""), "audit-log", "file to append the audit log to, as JSON lines; the database has it too")
	addCollectorFlag(flags, boolValue(&o.OpenMetrics, false), "open-metrics", "serve /metrics without a token")
	for _, limit := range []struct {
		target      *int
		value       int
		name, usage string
	}{
		{&o.Limits.PerPrefix, counter.DefaultPerPrefix, "limit-address", "reports per minute from one address, or one /64 network of IPv6"},
		{&o.Limits.KnownPerPrefix, counter.DefaultKnownPerPrefix, "limit-address-known",
			"further reports per minute from there, of known installations"},
		{&o.Limits.NewPerPrefix, counter.DefaultNewPerPrefix, "limit-address-new",
			"reports per hour from there, of unknown installations"},
		{&o.Limits.PerInstallation, counter.DefaultPerInstallation, "limit-installation", "reports per hour from one installation"},
	} {
		addCollectorFlag(flags, limitValue(limit.target, limit.value), limit.name, limit.usage+`; "off" for no limit`)
	}
	addCollectorFlag(flags, textValue(&o.Warehouse, "place", ""), "warehouse",
		"directory, or s3://BUCKET/PREFIX, to write the figures of each closed day to, as Parquet")
	addCollectorFlag(flags, textValue(&o.Title, "text", ""), "title", "title of the pages")
	addCollectorFlag(flags, durationValue(&o.StopTimeout, daemon.DefaultStopTimeout), "stop-timeout",
		"how long the requests in flight may take when it stops")
	completeFile(cmd, "tls-cert", "pem", "crt", "key")
	completeFile(cmd, "tls-key", "pem", "crt", "key")
	completeFile(cmd, "country-db", "mmdb")
}

func (s *collectorServe) run(cmd *cobra.Command, _ []string) (err error) {
	if err := s.data.check(); err != nil {
		return err
	}
	o := s.options
	if o.TrustedProxies, err = parsePrefixes(s.proxies); err != nil {
		return withHint(fmt.Errorf("--trusted-proxy: %w", err), "name addresses such as 127.0.0.1, or networks such as 10.0.0.0/8")
	}
	if o.CountryHeader != "" && len(o.TrustedProxies) == 0 {
		return withHint(errors.New("--country-header: no proxy is trusted"), "name the proxy that sends the header with --trusted-proxy")
	}
	if o.WebhookAllow, err = parsePrefixes(s.allow); err != nil {
		return withHint(fmt.Errorf("--webhook-allow: %w", err), "name addresses such as 192.168.1.5, or networks such as 10.0.0.0/8")
	}
	if _, err := server.ParseBaseURL(o.BaseURL); err != nil {
		return withHint(fmt.Errorf("--base-url %q: %w", o.BaseURL, err), "use an address such as https://example.org/telemetry")
	}
	if o.Warehouse != "" {
		if _, err := warehouse.OpenTarget(o.Warehouse, os.Getenv); err != nil {
			return withHint(fmt.Errorf("--warehouse %q: %w", o.Warehouse, err), "name a directory, or a bucket and the variables that it needs; see docs/operations.md")
		}
	}
	if err := checkTLS(&o); err != nil {
		return err
	}
	if o.Secret, err = s.data.readSecret(); err != nil {
		return err
	}
	if err := s.replicas(&o); err != nil {
		return err
	}
	o.Wait = true
	o.Dir, o.Store, o.Version, o.Logger = s.data.path, s.data.store, buildVersion().Version, s.log.logger(cmd.ErrOrStderr())
	ctx, done := untilSignal(cmd.Context(), stopLimit(o)+time.Second)
	defer done()
	collector, err := daemon.Open(ctx, o)
	if err != nil {
		return explainCollector(err)
	}
	return explainCollector(collector.Run(ctx))
}

// stopLimit bounds the end of a collector.
func stopLimit(o daemon.Options) time.Duration {
	if o.ReplicaListen != "" {
		return o.Drain + o.StopTimeout
	}
	return o.StopTimeout
}

// defaultReplicaPort is the port for other replicas.
const defaultReplicaPort = "8948"

// replicas completes the options of one of several collectors.
func (s *collectorServe) replicas(o *daemon.Options) error {
	switch {
	case s.data.store == "" && (o.ReplicaListen != "" || o.ReplicaAddress != ""):
		return withHint(errors.New("--replica-listen and --replica-address are for collectors with --store"), "omit them")
	case s.data.store == "" || o.ReplicaListen == "off":
		o.ReplicaListen = ""
		return nil
	case o.Lease < replica.MinLease:
		return withHint(fmt.Errorf("--lease %s is too short", o.Lease), "use %s at least", replica.MinLease)
	case len(o.ACMEDomains) > 0:
		return withHint(errors.New("--acme-domain with --store"),
			"give all collectors the certificate with --tls-cert, or let a load balancer have it; for a single one, add --replica-listen off")
	case o.ReplicaListen == "":
		host, _, err := net.SplitHostPort(o.Listen)
		if err != nil {
			return nil // --listen is refused later
		}
		o.ReplicaListen = net.JoinHostPort(host, defaultReplicaPort)
	}
	if o.ReplicaAddress == "" {
		return nil
	}
	if _, _, err := net.SplitHostPort(o.ReplicaAddress); err != nil {
		return withHint(fmt.Errorf("--replica-address: %w", err), "it is host:port, such as 10.0.0.5:8948")
	}
	return nil
}

func checkTLS(o *daemon.Options) error {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return withHint(errors.New("--tls-cert and --tls-key: only one of them is set"), "set both or neither")
	case o.TLSCert != "" && len(o.ACMEDomains) > 0:
		return withHint(errors.New("--tls-cert and --acme-domain are both set"), "set only the one that is the source of the certificate")
	case o.PlainListen != "" && o.TLSCert == "" && len(o.ACMEDomains) == 0:
		return withHint(errors.New("--plain-listen is set without TLS"), "enable TLS with --tls-cert or --acme-domain, or use --listen alone")
	}
	return nil
}

func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if address, notAddress := netip.ParseAddr(text); notAddress == nil {
			address = address.Unmap()
			prefix, err = netip.PrefixFrom(address, address.BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network", text)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}
