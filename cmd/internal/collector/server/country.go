package server

import (
	"context"
	"net/http"
	"net/netip"
	"regexp"
)

// countryCode matches the codes that proxies send. XX is unknown.
var countryCode = regexp.MustCompile(`^[A-Z]{2}$`)

// country returns the country of a client: the one that a trusted proxy names, or
// else that of the address. It is empty if it is unknown or not to be recorded.
func (s *Server) country(r *http.Request, client netip.Addr) string {
	if name := s.opts.CountryHeader; name != "" && isTrusted(parseAddr(r.RemoteAddr), s.opts.TrustedProxies) {
		if code := r.Header.Get(name); countryCode.MatchString(code) && code != "XX" {
			return code
		}
	}
	if s.opts.Country == nil || !client.IsValid() {
		return ""
	}
	return s.opts.Country(client)
}

type countryKey struct{}

// withCountry passes a request to the next handler with what [ClientCountry]
// returns.
func (s *Server) withCountry(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		country := s.country(r, clientAddr(r, s.opts.TrustedProxies))
		next(w, r.WithContext(context.WithValue(r.Context(), countryKey{}, country)))
	}
}

// ClientCountry returns the country of the client of a request that [Options].Legacy
// receives, as an ISO 3166-1 code, or "".
func ClientCountry(r *http.Request) string {
	country, _ := r.Context().Value(countryKey{}).(string)
	return country
}
