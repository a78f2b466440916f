// Package openapi derives descriptions of HTTP APIs from the types that their
// handlers read and write, so that a test can hold a description to the code.
package openapi

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-dev/rollcall/report"
)

// An Object is an object of JSON.
type Object = map[string]any

// Check compares the description in a file, which the server embeds, with what
// it should be. With update it writes the file instead.
func Check(t testing.TB, file string, want Object, got []byte, update bool) {
	t.Helper()
	text, err := json.MarshalIndent(want, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	text = append(text, '\n')
	if update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(got, text) {
		t.Errorf("%s does not match the handlers; run the test with -update and check the difference", file)
	}
}

// Reference returns a schema that refers to one of [Schemas.Named].
func Reference(name string) Object { return Object{"$ref": "#/components/schemas/" + name} }

// Content returns the content of an answer in JSON.
func Content(schema Object) Object { return Object{"application/json": Object{"schema": schema}} }

// Body returns the body of a request in JSON.
func Body(schema Object) Object { return Object{"required": true, "content": Content(schema)} }

// OfFields returns the schema of a report from its list of fields.
func OfFields(fields []report.Field) Object {
	root := Object{"type": "object", "properties": Object{}}
	for _, f := range fields {
		at := root
		steps := strings.Split(f.Name, ".")
		for _, step := range steps[:len(steps)-1] {
			key, list := strings.CutSuffix(step, "[]")
			properties := at["properties"].(Object)
			next, _ := properties[key].(Object)
			if next == nil || next["properties"] == nil && next["items"] == nil {
				next = Object{"type": "object", "properties": Object{}}
				if list {
					next = Object{"type": "array", "items": next}
				}
				properties[key] = next
			}
			at = next
			if items, _ := next["items"].(Object); items != nil {
				at = items
			}
		}
		last := steps[len(steps)-1]
		properties := at["properties"].(Object)
		if properties[last] == nil {
			properties[last] = Object{"description": f.Reason + " (" + f.Bound + ")", "type": map[string]string{
				"text": "string", "number": "integer", "time": "string", "boolean": "boolean", "list": "array", "map": "object",
			}[f.Type]}
		}
		if !f.Optional {
			required, _ := at["required"].([]string)
			at["required"] = append(required, last)
		}
	}
	return root
}

// Schemas are the schemas of a description. Create them with [NewSchemas].
type Schemas struct {
	// Named are those of structs, by name.
	Named   Object
	types   map[string]reflect.Type // those of Named
	special map[reflect.Type]Object
}

// NewSchemas returns schemas. The types in special, which write JSON in a way of
// their own, have the schemas given there.
func NewSchemas(special map[reflect.Type]Object) Schemas {
	return Schemas{Object{}, make(map[string]reflect.Type), special}
}

// Of returns the schema of a type as encoding/json writes it.
func (s Schemas) Of(typ reflect.Type) Object {
	switch schema, ok := s.special[typ]; {
	case ok:
		return schema
	case typ == reflect.TypeFor[time.Time]():
		return Object{"type": "string", "format": "date-time"}
	case typ == reflect.TypeFor[json.RawMessage]():
		return Object{}
	case typ.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return Object{"type": "string"}
	}
	switch typ.Kind() {
	case reflect.Pointer:
		schema := s.Of(typ.Elem())
		schema["type"] = []any{schema["type"], "null"}
		return schema
	case reflect.Slice:
		return Object{"type": "array", "items": s.Of(typ.Elem())}
	case reflect.Map:
		return Object{"type": "object", "additionalProperties": s.Of(typ.Elem())}
	case reflect.String:
		return Object{"type": "string"}
	case reflect.Bool:
		return Object{"type": "boolean"}
	case reflect.Float64:
		return Object{"type": "number"}
	case reflect.Struct:
		name := strings.ToUpper(typ.Name()[:1]) + typ.Name()[1:]
		if s.Named[name] == nil {
			schema := Object{"type": "object"}
			s.Named[name], s.types[name] = schema, typ // before its fields, which may refer to it
			properties := Object{}
			s.addFields(typ, properties)
			schema["properties"] = properties
		} else if s.types[name] != typ {
			panic(fmt.Sprintf("%v and %v have one name", typ, s.types[name]))
		}
		return Reference(name)
	}
	return Object{"type": "integer"}
}

func (s Schemas) addFields(typ reflect.Type, properties Object) {
	for field := range typ.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if field.Anonymous && name == "" {
			s.addFields(field.Type, properties)
			continue
		}
		if field.IsExported() && name != "-" {
			properties[name] = s.Of(field.Type)
		}
	}
}
