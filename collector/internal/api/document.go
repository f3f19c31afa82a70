package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"hozen/collector/internal/act"
)

// about is the description of the whole document.
const about = `What people do at the console of Hozen, for programs. A token acts on behalf of the person who
made it and can do what both its scopes and that person's role allow; it is shown in the header Authorization. Everything that
it does stands in the custody ledger with the token's identifier. Times are RFC 3339 in UTC. Errors are RFC 9457. Fields
and words may be added to answers; nothing is taken away within v1. A token never agrees to what waits for a second person, and reads no words
of decisions and of customers' enquiries.`

// document makes the OpenAPI 3.1 document of the routes (spec.openapis.org/oas/v3.1.1).
func document(all []route, version string) ([]byte, error) {
	s := newSchemas()
	paths := object{}
	for _, r := range all {
		path, _ := paths[r.path].(object)
		if path == nil {
			path = object{}
			paths[r.path] = path
		}
		method := strings.ToLower(r.method)
		if path[method] != nil {
			return nil, fmt.Errorf("two routes %s %s", r.method, r.path)
		}
		path[method] = operation(s, r)
	}
	problems := s.of(reflect.TypeFor[problem](), false)
	if version == "" {
		version = "unknown"
	}
	scopes := object{}
	for _, sc := range act.Scopes() {
		scopes[string(sc)] = scopeWords()[sc]
	}
	b, err := json.Marshal(object{
		"openapi": "3.1.1",
		"info":    object{"title": "Hozen", "version": version, "description": strings.ReplaceAll(about, "\n", " ")},
		"servers": []object{{"url": Prefix}},
		"paths":   paths,
		"components": object{
			"schemas": s.named,
			"responses": object{"Problem": object{"description": "It was not done.",
				"headers": object{"Retry-After": object{"description": "seconds, with 429", "schema": object{"type": "integer"}}},
				"content": object{"application/problem+json": object{"schema": problems}}}},
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "bearerFormat": "hozen_api_…",
				"description": "A token from the console (People → tokens for programs) or from hozen-collector api-token create.", "x-scopes": scopes}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("write OpenAPI document: %w", err)
	}
	return b, nil
}

// scopeWords say what scopes are for.
func scopeWords() map[act.Scope]string {
	return map[act.Scope]string{
		act.ScopeRead:     "read incidents, endpoints, orders, what evidence there is, the watch, and the signed state of the ledger",
		act.ScopeEvidence: "download evidence, which is personal data",
		act.ScopeRecord:   "open incidents and write into timelines",
		act.ScopeAcquire:  "order evidence to be taken",
		act.ScopeIsolate:  "order networks to be cut",
		act.ScopeRelease:  "ask for networks to be given back",
	}
}

// operation is one route in the document.
func operation(s *schemas, r route) object {
	op := object{"operationId": r.id, "summary": r.summary}
	parameters, body := []object{}, false
	for _, i := range inputs(r.in) {
		if i.in == "body" {
			body = true
			continue
		}
		schema := s.of(i.field.Type, true)
		for tag, word := range map[string]string{"min": "minimum", "max": "maximum"} {
			if v := i.field.Tag.Get(tag); v != "" {
				schema[word], _ = strconv.Atoi(v)
			}
		}
		p := object{"name": i.name, "in": i.in, "schema": schema}
		if i.required {
			p["required"] = true
		}
		if doc := i.field.Tag.Get("doc"); doc != "" {
			p["description"] = doc
		}
		parameters = append(parameters, p)
	}
	if len(parameters) > 0 {
		op["parameters"] = parameters
	}
	if body {
		op["requestBody"] = object{"required": true, "content": object{"application/json": object{"schema": s.of(r.in, true)}}}
	}
	ok := object{"description": http.StatusText(r.status)}
	switch {
	case r.stream:
		ok["content"] = object{"application/octet-stream": object{}}
	case r.out == reflect.TypeFor[json.RawMessage]():
		ok["content"] = object{"application/json": object{"schema": object{"type": "object"}}}
	default:
		ok["content"] = object{"application/json": object{"schema": s.of(r.out, false)}}
	}
	op["responses"] = object{strconv.Itoa(r.status): ok, "default": object{"$ref": "#/components/responses/Problem"}}
	if r.open {
		op["security"] = []object{}
		return op
	}
	needs := []string{}
	if r.scope != "" {
		needs = append(needs, string(r.scope))
	}
	op["security"] = []object{{"token": needs}}
	return op
}
