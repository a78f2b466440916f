package dashboard

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/rollcall-dev/rollcall/cmd/internal/respond"
)

//go:embed assets templates
var files embed.FS

// An asset is a file that pages load. The name in its address contains a hash
// of its content, so browsers may keep it for good.
type asset struct {
	kind         string
	data, packed []byte
}

// readFiles reads the assets and the templates.
func (d *dashboard) readFiles() (err error) {
	d.assets, d.names = make(map[string]asset), make(map[string]string)
	all := []string{d.opts.Version}
	err = fs.WalkDir(files, ".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := files.ReadFile(file)
		all = append(all, string(data))
		if base, ok := strings.CutPrefix(file, "assets/"); ok {
			ext := path.Ext(base)
			name := strings.TrimSuffix(base, ext) + "." + hash(string(data)) + ext
			d.names[base] = name
			d.assets[name] = asset{kind: mime.TypeByExtension(ext), data: data, packed: respond.Gzip(data)}
		}
		return err
	})
	if err != nil {
		return err
	}
	d.stamp = hash(all...) // two builds can have the same version
	d.templates, err = d.parseTemplates()
	return err
}

// hash returns a short hash of some texts.
func hash(texts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:8])
}

// assetPath returns the path in the address of an asset.
func (d *dashboard) assetPath(file string) (string, error) {
	name, ok := d.names[file]
	if !ok {
		return "", fmt.Errorf("no asset %s", file)
	}
	return "/assets/" + name, nil
}

func (d *dashboard) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := d.assets[r.PathValue("name")]
	if !ok {
		d.notFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	respond.Packed(w, r, a.data, a.packed)
}
