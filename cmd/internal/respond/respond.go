// Package respond writes HTTP answers that depend on who asks: it answers
// conditional requests, and compresses for clients that accept gzip.
package respond

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Unchanged sets the ETag of an answer that depends on the reader's
// credentials and lets the reader's browser, but no shared cache, keep it. If
// the client already has that answer, Unchanged sends 304 and returns true.
// The tag is opaque and has no quotes; it is compared weakly (RFC 9110,
// section 13.1.2).
func Unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("Cache-Control", "private, no-cache")
	w.Header().Set("Vary", "Authorization, Cookie, Accept-Encoding")
	return unchanged(w, r, tag)
}

// UnchangedForAll is like [Unchanged] for an answer that is the same for
// everyone. Any cache may keep it for maxAge, which is rounded to seconds.
func UnchangedForAll(w http.ResponseWriter, r *http.Request, tag string, maxAge time.Duration) bool {
	w.Header().Set("Cache-Control", "public, max-age="+strconv.Itoa(int(maxAge.Round(time.Second)/time.Second)))
	w.Header().Set("Vary", "Accept-Encoding")
	return unchanged(w, r, tag)
}

func unchanged(w http.ResponseWriter, r *http.Request, tag string) bool {
	w.Header().Set("ETag", `W/"`+tag+`"`)
	for candidate := range strings.SplitSeq(strings.Join(r.Header.Values("If-None-Match"), ","), ",") {
		candidate = strings.TrimSpace(candidate)
		if candidate == "*" || strings.TrimPrefix(candidate, "W/") == `"`+tag+`"` {
			// The client would take this policy for the answer it has, whose own may differ.
			w.Header().Del("Content-Security-Policy")
			w.WriteHeader(http.StatusNotModified)
			return true
		}
	}
	return false
}

// compressFrom is the size in bytes from which compression saves a packet.
const compressFrom = 1400

// Body writes the body of an answer with status 200, compressed if the client
// accepts gzip and it is worth it. Set the other headers first.
func Body(w http.ResponseWriter, r *http.Request, body []byte) { Packed(w, r, body, nil) }

// Packed writes body as [Body] does. It sends packed, the gzip of body, if
// that is not nil.
func Packed(w http.ResponseWriter, r *http.Request, body, packed []byte) {
	h := w.Header()
	if !strings.Contains(strings.Join(h.Values("Vary"), ","), "Accept-Encoding") {
		h.Add("Vary", "Accept-Encoding")
	}
	if len(body) < compressFrom || !AcceptsGzip(r) {
		w.Write(body)
		return
	}
	if packed == nil {
		packed = Gzip(body)
	}
	h.Set("Content-Encoding", "gzip")
	w.Write(packed)
}

// Gzip returns the compressed body.
func Gzip(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body)
	z.Close()
	return b.Bytes()
}

// AcceptsGzip reports whether the client accepts gzip (RFC 9110, section
// 12.5.3). A coding that is not named is accepted if "*" is, and a weight of 0
// refuses. A client that names no coding gets none.
func AcceptsGzip(r *http.Request) bool {
	accepts := false
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, params, _ := strings.Cut(part, ";")
		switch strings.ToLower(strings.TrimSpace(coding)) {
		case "gzip", "x-gzip":
			return weight(params) > 0
		case "*":
			accepts = weight(params) > 0
		}
	}
	return accepts
}

// weight returns the q value among the parameters of a coding: 1 if there is
// none, and 0 if it is malformed.
func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(param, "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
