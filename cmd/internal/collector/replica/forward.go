package replica

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"strings"
	"time"

	"github.com/rollcall-dev/rollcall/cmd/internal/collector/secret"
	"github.com/rollcall-dev/rollcall/cmd/internal/collector/server"
)

const (
	// maxForwarded bounds the body of a request that is passed on: a page's form, or
	// the description of a release.
	maxForwarded = 1 << 20
	// forwardPatience bounds the wait for a counter that can answer.
	forwardPatience = 10 * time.Second
)

// Elsewhere returns the handler of requests that only the counter can answer. It
// receives them as [server.Options].Dashboard does.
func (r *Replica) Elsewhere(prefixes *secret.Prefixes) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		addr, _ := netip.ParseAddrPort(req.RemoteAddr)
		client := server.Client{Prefix: prefixes.Hash(addr.Addr()), TLS: req.TLS != nil || req.URL.Scheme == "https"}
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxForwarded))
		if err != nil {
			http.Error(w, "the body is too large, or incomplete", http.StatusRequestEntityTooLarge)
			return
		}
		ctx, cancel := context.WithTimeout(req.Context(), forwardPatience)
		defer cancel()
		err = r.current.try(ctx, func(t target) error {
			again := req.Clone(req.Context())
			again.Body = io.NopCloser(bytes.NewReader(body))
			if len(body) == 0 {
				again.Body = http.NoBody
			}
			if _, here := t.(*local); here {
				return t.forward(w, asClient(again, client))
			}
			again.Header.Set(clientHeader, clientOf(client))
			return t.forward(w, again)
		})
		if err != nil {
			w.Header().Set("Retry-After", "5")
			http.Error(w, "no replica of the collector can answer now; try again", http.StatusServiceUnavailable)
		}
	})
}

// passedOn are the headers of requests that the counter reads. Proxies add others,
// with addresses in them.
var passedOn = []string{
	"Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Request-Headers", "Access-Control-Request-Method", "Authorization",
	"Content-Encoding", "Content-Type", "Cookie", "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Range", "Referer",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", clientHeader,
}

// forward implements target.
func (l *link) forward(w http.ResponseWriter, r *http.Request) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(l.ctx, cancel)()
	var failed error
	proxy := httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "https", l.address, p.In.Host
			p.Out.URL.Path = clientPath + p.In.URL.Path
			if p.In.URL.RawPath != "" {
				p.Out.URL.RawPath = clientPath + p.In.URL.RawPath
			}
			p.Out.Header = make(http.Header)
			for _, name := range passedOn {
				if values := p.In.Header.Values(name); len(values) > 0 {
					p.Out.Header[name] = values
				}
			}
			p.Out.Header.Set("User-Agent", "") // none, rather than Go's
		},
		Transport: l.replica.client.Transport,
		ModifyResponse: func(response *http.Response) error {
			if response.Header.Get(movedHeader) != "" {
				return errMoved
			}
			return nil
		},
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { failed = err },
		ErrorLog:     slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug),
	}
	proxy.ServeHTTP(w, r.WithContext(ctx))
	if failed == nil || r.Method == http.MethodGet || r.Method == http.MethodHead || errors.Is(failed, errMoved) {
		return movedIf(failed)
	}
	if op, ok := errors.AsType[*net.OpError](failed); ok && op.Op == "dial" {
		return errMoved // nothing was sent
	}
	return failed // it may have been done
}

func movedIf(failed error) error {
	if failed != nil {
		return errMoved
	}
	return nil
}

// MayReadAll asks the counter whether the sender of a request may read all apps.
func (r *Replica) MayReadAll(req *http.Request) bool {
	ctx, cancel := context.WithTimeout(req.Context(), forwardPatience)
	defer cancel()
	a, err := r.ask(ctx, question{
		Kind: askMayReadAll, Authorization: req.Header.Get("Authorization"), Cookie: strings.Join(req.Header.Values("Cookie"), "; "),
		TLS: req.TLS != nil || req.URL.Scheme == "https",
	})
	return err == nil && a.Yes
}
