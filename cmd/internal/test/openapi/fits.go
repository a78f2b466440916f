package openapi

import (
	"fmt"
	"slices"
	"strings"
)

// Fits returns what of a value, as encoding/json decodes it, a schema of the
// description does not describe; "" for nothing.
func Fits(description, schema Object, value any) string {
	if name, ok := schema["$ref"].(string); ok {
		schemas := description["components"].(Object)["schemas"].(Object)
		named, ok := schemas[strings.TrimPrefix(name, "#/components/schemas/")].(Object)
		if !ok {
			return name + " is not described"
		}
		return Fits(description, named, value)
	}
	if !isOneOf(schema["type"], typeOf(value)) {
		return fmt.Sprintf("%v is not %v", value, schema["type"])
	}
	switch value := value.(type) {
	case Object:
		properties, _ := schema["properties"].(Object)
		others, open := schema["additionalProperties"].(Object)
		for name, member := range value {
			of, ok := properties[name].(Object)
			switch {
			case !ok && properties != nil && !open:
				return name + " is not described"
			case !ok:
				of = others
			}
			if wrong := Fits(description, of, member); wrong != "" {
				return name + ": " + wrong
			}
		}
	case []any:
		items, _ := schema["items"].(Object)
		for _, item := range value {
			if wrong := Fits(description, items, item); wrong != "" {
				return wrong
			}
		}
	}
	return ""
}

// isOneOf reports whether a schema's type, which can be a list or missing, is
// the type of a value. Whole numbers are integers and numbers.
func isOneOf(types any, typ string) bool {
	list, ok := types.([]any)
	if !ok {
		list = []any{types}
	}
	return types == nil || slices.Contains(list, any(typ)) || typ == "integer" && slices.Contains(list, any("number"))
}

func typeOf(value any) string {
	switch value := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case float64:
		if value == float64(int64(value)) {
			return "integer"
		}
		return "number"
	case []any:
		return "array"
	}
	return "object"
}
