package api

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// fits checks a value against a schema of the document: the part of JSON Schema that the
// document uses, and nothing else is known.
func fits(doc, schema map[string]any, v any, at string) error {
	for word := range schema {
		if !slices.Contains([]string{"type", "format", "enum", "examples", "description", "items", "properties", "required", "additionalProperties", "$ref", "maxLength", "minimum", "maximum"}, word) {
			return fmt.Errorf("%s: the schema says %q", at, word)
		}
	}
	if ref, ok := schema["$ref"].(string); ok {
		to, err := resolve(doc, ref)
		if err != nil {
			return err
		}
		return fits(doc, to, v, at)
	}
	switch schema["type"] {
	case "object":
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %T is no object", at, v)
		}
		return objectFits(doc, schema, m, at)
	case "array":
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %T is no array", at, v)
		}
		for i, e := range list {
			if err := fits(doc, schema["items"].(map[string]any), e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "string":
		s, ok := v.(string)
		if !ok {
			return fmt.Errorf("%s: %T is no string", at, v)
		}
		if words, ok := schema["enum"].([]any); ok && !slices.Contains(words, v) {
			return fmt.Errorf("%s: %q is none of %v", at, s, words)
		}
		if words, ok := schema["examples"].([]any); ok && !slices.Contains(words, v) {
			return fmt.Errorf("%s: %q is not among the examples %v", at, s, words)
		}
		if schema["format"] == "date-time" {
			if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
				return fmt.Errorf("%s: %w", at, err)
			}
		}
	case "integer":
		n, ok := v.(json.Number)
		if !ok || strings.ContainsAny(n.String(), ".eE") {
			return fmt.Errorf("%s: %v is no integer", at, v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s: %T is no boolean", at, v)
		}
	default:
		return fmt.Errorf("%s: the schema has the type %v", at, schema["type"])
	}
	return nil
}

func objectFits(doc, schema, m map[string]any, at string) error {
	properties, _ := schema["properties"].(map[string]any)
	required, _ := schema["required"].([]any)
	for _, name := range required {
		if _, ok := m[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, name)
		}
		if _, ok := properties[name.(string)]; !ok {
			return fmt.Errorf("%s: %s is required and not described", at, name)
		}
	}
	for name, v := range m {
		p, ok := properties[name].(map[string]any)
		if !ok {
			if p, ok = schema["additionalProperties"].(map[string]any); !ok && properties != nil {
				return fmt.Errorf("%s: %s is not described", at, name) // the document must not lag behind
			}
		}
		if p == nil {
			continue
		}
		if err := fits(doc, p, v, at+"."+name); err != nil {
			return err
		}
	}
	return nil
}

func resolve(doc map[string]any, ref string) (map[string]any, error) {
	rest, ok := strings.CutPrefix(ref, "#/")
	at := doc
	for part := range strings.SplitSeq(rest, "/") {
		at, ok = at[part].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s leads nowhere", ref)
		}
	}
	return at, nil
}
