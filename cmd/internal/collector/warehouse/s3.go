package warehouse

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// A bucket is one of S3, or of a service that speaks its protocol. It needs two
// requests, so it signs them with the AWS library and sends them itself.
type bucket struct {
	name        string
	base        *url.URL // of the objects, with a slash at the end
	region      string
	credentials aws.Credentials
	client      *http.Client
	signer      *v4.Signer
}

// openBucket reads s3://BUCKET/PREFIX and the variables AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION or AWS_DEFAULT_REGION,
// and AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL for services other than Amazon's.
func openBucket(text string, getenv func(string) string) (*bucket, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not of the form s3://BUCKET/PREFIX")
	}
	b := &bucket{
		name:   strings.TrimSuffix(text, "/"),
		region: cmp.Or(getenv("AWS_REGION"), getenv("AWS_DEFAULT_REGION"), "us-east-1"),
		credentials: aws.Credentials{
			AccessKeyID: getenv("AWS_ACCESS_KEY_ID"), SecretAccessKey: getenv("AWS_SECRET_ACCESS_KEY"), SessionToken: getenv("AWS_SESSION_TOKEN"),
		},
		client: &http.Client{
			Timeout:       time.Minute,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		// A path is signed as it is sent.
		signer: v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }),
	}
	if b.credentials.AccessKeyID == "" || b.credentials.SecretAccessKey == "" {
		return nil, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set")
	}
	prefix := strings.Trim(u.Path, "/")
	if endpoint := cmp.Or(getenv("AWS_ENDPOINT_URL_S3"), getenv("AWS_ENDPOINT_URL")); endpoint != "" {
		base, err := url.Parse(endpoint)
		if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
			return nil, fmt.Errorf("endpoint %q is not a URL", endpoint)
		}
		b.base = base.JoinPath(u.Host, prefix, "/")
	} else {
		b.base = (&url.URL{Scheme: "https", Host: u.Host + ".s3." + b.region + ".amazonaws.com"}).JoinPath(prefix, "/")
	}
	return b, nil
}

func (b *bucket) String() string { return b.name }

func (b *bucket) Exists(ctx context.Context, name string) (bool, error) {
	status, err := b.request(ctx, http.MethodHead, name, nil)
	switch {
	case err != nil:
		return false, err
	case status == http.StatusOK:
		return true, nil
	case status == http.StatusNotFound:
		return false, nil
	}
	return false, statusError(status)
}

func (b *bucket) Put(ctx context.Context, name string, data []byte) error {
	status, err := b.request(ctx, http.MethodPut, name, data)
	if err == nil && status != http.StatusOK {
		err = statusError(status)
	}
	return err
}

func statusError(status int) error {
	text := ""
	switch status {
	case http.StatusForbidden:
		text = ": the key is wrong, or lacks s3:PutObject, s3:GetObject, or s3:ListBucket"
	case http.StatusNotFound:
		text = ": there is no such bucket"
	case http.StatusMovedPermanently, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		text = ": the bucket is in another region; set AWS_REGION"
	}
	return fmt.Errorf("the bucket answers %d%s", status, text)
}

// request sends a signed request, and returns the status of the answer.
func (b *bucket) request(ctx context.Context, method, name string, body []byte) (status int, err error) {
	target := *b.base
	target.Path += name
	target.RawPath = escape(target.Path)
	req, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if body != nil {
		req.Header.Set("Content-Type", "application/vnd.apache.parquet")
	}
	if err := b.signer.SignHTTP(ctx, b.credentials, req, hash, "s3", b.region, time.Now()); err != nil {
		return 0, err
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// escape returns a path as S3 signs it: all but unreserved characters and slashes
// are escaped.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func escape(path string) string {
	var out strings.Builder
	for _, c := range []byte(path) {
		if c == '/' || c == '-' || c == '.' || c == '_' || c == '~' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z' {
			out.WriteByte(c)
		} else {
			fmt.Fprintf(&out, "%%%02X", c)
		}
	}
	return out.String()
}
