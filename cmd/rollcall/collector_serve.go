package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/daemon"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
	"github.com/spf13/cobra"
)

const defaultCollectorListen = "127.0.0.1:8947"

func newCollectorServe() *cobra.Command {
	s := &collectorServe{}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the collector",
		Long: `Run the collector until a signal ends it: it takes heartbeats and health reports, and serves the dashboard, the JSON API
(described at /api/openapi.json), /healthz, /readyz and /metrics. What it has acknowledged is on disk.

It listens in plain text on loopback by default, for a proxy on the same machine that has TLS; --trusted-proxy then says whose
X-Forwarded-For is believed. Or it has TLS itself: with --tls-cert and --tls-key, files that are read again when they change,
or with --acme-domain, for which Let's Encrypt has to reach it on port 443, or on port 80 at --plain-listen. With
--acme-domain you accept the authority's terms.

The first start makes the data folder, with the database and the secret key under which installations are known. Whoever has
lost the key has lost the count: see "rollcall collector backup".

SIGTERM and SIGINT end it with exit code 0, within --stop-timeout: requests in flight are finished. A second signal ends it at
once, and nothing acknowledged is lost. Under systemd, Type=notify and WatchdogSec= are supported.`,
		Example: "  rollcall collector serve\n  rollcall collector serve --listen :443 --acme-domain collector.example --acme-email me@example.com\n" +
			"  rollcall collector serve --data-dir /srv/rollcall --trusted-proxy 127.0.0.1",
		Args: noArguments,
		RunE: s.run,
	}
	s.folder.add(cmd)
	s.add(cmd)
	return cmd
}

type collectorServe struct {
	folder  dataFolder
	logging logging
	options daemon.Options
	proxies []string
}

func (s *collectorServe) add(cmd *cobra.Command) {
	flags, o := cmd.Flags(), &s.options
	addCollectorSetting(flags, textSetting(&o.Listen, "address", defaultCollectorListen), "listen", "address of the server, host:port")
	addCollectorSetting(flags, textSetting(&o.PlainListen, "address", ""), "plain-listen",
		"with TLS, a second address without: it sends browsers to the first and answers ACME's HTTP-01")
	addCollectorSetting(flags, textSetting(&o.TLSCert, "file", ""), "tls-cert", "certificate chain in PEM form")
	addCollectorSetting(flags, textSetting(&o.TLSKey, "file", ""), "tls-key", "its key in PEM form")
	addCollectorSetting(flags, listSetting(&o.ACMEDomains, "names"), "acme-domain",
		"names to have certificates made for, separated by commas")
	addCollectorSetting(flags, textSetting(&o.ACMEEmail, "address", ""), "acme-email", "where the authority can write to")
	addCollectorSetting(flags, textSetting(&o.ACMEDirectory, "URL", ""), "acme-directory",
		"the authority; by default that of Let's Encrypt")
	addCollectorSetting(flags, listSetting(&s.proxies, "addresses"), "trusted-proxy",
		"addresses or networks of proxies whose X-Forwarded-For is believed, separated by commas")
	addCollectorSetting(flags, textSetting(&o.CountryDB, "file", ""), "country-db",
		"a country database in MaxMind's format; without one no country is stored")
	addCollectorSetting(flags, boolSetting(&o.OpenMetrics, false), "open-metrics", "serve /metrics without a token")
	for _, limit := range []struct {
		target      *int
		value       int
		name, usage string
	}{
		{&o.Limits.PerPrefix, server.DefaultPerPrefix, "limit-address", "reports a minute from one address, or IPv6 network of 64 bits"},
		{&o.Limits.KnownPerPrefix, server.DefaultKnownPerPrefix, "limit-address-known",
			"further reports a minute from there of installations that are known"},
		{&o.Limits.NewPerPrefix, server.DefaultNewPerPrefix, "limit-address-new",
			"reports an hour from there of installations that are not known"},
		{&o.Limits.PerInstallation, server.DefaultPerInstallation, "limit-installation", "reports an hour from one installation"},
	} {
		addCollectorSetting(flags, limitSetting(limit.target, limit.value), limit.name, limit.usage+`; "off" for no limit`)
	}
	addCollectorSetting(flags, textSetting(&o.Title, "text", ""), "title", "what the pages are called")
	addCollectorSetting(flags, durationSetting(&o.StopTimeout, daemon.DefaultStopTimeout), "stop-timeout",
		"how long requests in flight and the last writes may take at the end")
	s.logging.add(cmd)
	for _, name := range []string{"tls-cert", "tls-key"} {
		_ = cmd.MarkFlagFilename(name, "pem", "crt", "key")
	}
	_ = cmd.MarkFlagFilename("country-db", "mmdb")
}

func (s *collectorServe) run(cmd *cobra.Command, _ []string) (err error) {
	if err := s.folder.check(); err != nil {
		return err
	}
	o := s.options
	if o.TrustedProxies, err = parsePrefixes(s.proxies); err != nil {
		return withHint(fmt.Errorf("--trusted-proxy: %w", err), "give addresses such as 127.0.0.1, or networks such as 10.0.0.0/8")
	}
	if err := checkTLS(&o); err != nil {
		return err
	}
	o.Dir, o.Version, o.Logger = s.folder.dir, buildVersion().Version, s.logging.logger(cmd.ErrOrStderr())
	ctx, done := untilSignal(cmd.Context(), o.StopTimeout+time.Second)
	defer done()
	collector, err := daemon.Open(ctx, o)
	if err != nil {
		return explainCollector(err)
	}
	return explainCollector(collector.Run(ctx))
}

// checkTLS refuses settings of TLS that do not go together.
func checkTLS(o *daemon.Options) error {
	switch {
	case (o.TLSCert == "") != (o.TLSKey == ""):
		return withHint(errors.New("--tls-cert and --tls-key: only one of them is given"), "give both, or neither")
	case o.TLSCert != "" && len(o.ACMEDomains) > 0:
		return withHint(errors.New("both --tls-cert and --acme-domain are given"), "give the one that the certificate is to come from")
	case o.PlainListen != "" && o.TLSCert == "" && len(o.ACMEDomains) == 0:
		return withHint(errors.New("--plain-listen is given without TLS"), "--listen alone has no TLS without --tls-cert or --acme-domain")
	}
	return nil
}

// parsePrefixes reads addresses and networks.
func parsePrefixes(texts []string) ([]netip.Prefix, error) {
	var list []netip.Prefix
	for _, text := range texts {
		if !strings.Contains(text, "/") {
			address, err := netip.ParseAddr(text)
			if err != nil {
				return nil, fmt.Errorf("%q is not an address", text)
			}
			address = address.Unmap()
			list = append(list, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not a network", text)
		}
		list = append(list, prefix.Masked())
	}
	return list, nil
}
