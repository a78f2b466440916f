package alert

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"
)

const (
	// SendTimeout bounds one attempt to deliver a message.
	SendTimeout = 15 * time.Second
	maxAnswer   = 4 << 10 // bytes to read of an answer
	maxError    = 200     // bytes to show of an error
)

// newClient returns a client that follows no redirects, because the maintainer
// did not choose where they lead. It is rarely used, so it keeps no connections.
func newClient(d dialer) *http.Client {
	return &http.Client{
		Timeout: SendTimeout,
		Transport: &http.Transport{
			Proxy:                  proxyOf,
			DialContext:            d.dial,
			ForceAttemptHTTP2:      true,
			DisableKeepAlives:      true,
			MaxResponseHeaderBytes: 32 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func (h Webhook) post(ctx context.Context, client *http.Client, m Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(context.WithValue(ctx, proxyKey{}, &proxyUsed{}), http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return errors.New("invalid URL")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "rollcall-alerts")
	if h.Secret != "" {
		mac := hmac.New(sha256.New, []byte(h.Secret))
		mac.Write(body)
		r.Header.Set("X-Rollcall-Signature", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	resp, err := client.Do(r)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the URL, whose path may be a secret
		}
		return &unreachableError{err}
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return fmt.Errorf("answered %d", resp.StatusCode)
	}
	return nil
}

// oneLine returns an error, which may contain text of another server, as one
// short line.
func oneLine(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*unreachableError](err); ok {
		return err
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, err.Error())
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "..."
	}
	return errors.New(text)
}
