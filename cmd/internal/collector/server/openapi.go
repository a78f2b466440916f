package server

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var description []byte

// openAPI gives the description of the interface, by which a test holds the handlers.
func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) {
	w.Header()["Content-Type"] = jsonType
	w.Header().Set("Cache-Control", "no-cache")
	compressed(w, r, description)
}
