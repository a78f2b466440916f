package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
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
}

func (s *collectorServe) add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &s.options
	addCollectorFlag(flags, textValue(&o.Listen, "address", defaultCollectorListen), "listen", "address of the server, host:port")
	addCollectorFlag(flags, textValue(&o.PlainListen, "address", ""), "plain-listen",
		"a second address without TLS: it redirects browsers, and answers HTTP-01 challenges of ACME")
	addCollectorFlag(flags, textValue(&o.TLSCert, "file", ""), "tls-cert", "certificate chain in PEM form")
	addCollectorFlag(flags, textValue(&o.TLSKey, "file", ""), "tls-key", "its key in PEM form")
	addCollectorFlag(flags, listValue(&o.ACMEDomains, "names"), "acme-domain",
		"names to request certificates for, separated by commas")
	addCollectorFlag(flags, textValue(&o.ACMEEmail, "address", ""), "acme-email", "where the authority may send mail")
	addCollectorFlag(flags, textValue(&o.ACMEDirectory, "URL", ""), "acme-directory",
		"the authority; by default that of Let's Encrypt")
	addCollectorFlag(flags, listValue(&s.proxies, "addresses"), "trusted-proxy",
		"addresses or networks of trusted proxies, separated by commas")
	addCollectorFlag(flags, textValue(&o.CountryDB, "file", ""), "country-db",
		"a country database in MaxMind's format; without it no country is stored")
	addCollectorFlag(flags, boolValue(&o.OpenMetrics, false), "open-metrics", "serve /metrics without a token")
	for _, limit := range []struct {
		target      *int
		value       int
		name, usage string
	}{
		{&o.Limits.PerPrefix, server.DefaultPerPrefix, "limit-address", "reports per minute from one address, or one /64 network of IPv6"},
		{&o.Limits.KnownPerPrefix, server.DefaultKnownPerPrefix, "limit-address-known",
			"further reports per minute from there, of known installations"},
		{&o.Limits.NewPerPrefix, server.DefaultNewPerPrefix, "limit-address-new",
			"reports per hour from there, of unknown installations"},
		{&o.Limits.PerInstallation, server.DefaultPerInstallation, "limit-installation", "reports per hour from one installation"},
	} {
		addCollectorFlag(flags, limitValue(limit.target, limit.value), limit.name, limit.usage+`; "off" for no limit`)
	}
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
		return withHint(fmt.Errorf("--trusted-proxy: %w", err), "give addresses such as 127.0.0.1, or networks such as 10.0.0.0/8")
	}
	if err := checkTLS(&o); err != nil {
		return err
	}
	o.Dir, o.Version, o.Logger = s.data.path, buildVersion().Version, s.log.logger(cmd.ErrOrStderr())
	ctx, done := untilSignal(cmd.Context(), o.StopTimeout+time.Second)
	defer done()
	collector, err := daemon.Open(ctx, o)
	if err != nil {
		return explainCollector(err)
	}
	return explainCollector(collector.Run(ctx))
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
