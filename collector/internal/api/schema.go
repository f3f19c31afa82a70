package api

import (
	"reflect"
	"strconv"
	"strings"
	"time"

	"hozen/collector/internal/act"
	"hozen/collector/internal/endpoint"
	"hozen/collector/internal/incident"
	"hozen/internal/profile"
)

// object is a JSON object of the document.
type object map[string]any

// Profile names what an acquisition takes.
type Profile string

// enums are the types that hold one of a few words, and those words.
func enums() map[reflect.Type][]string {
	var profiles []string
	for _, p := range profile.All() {
		profiles = append(profiles, p.Name)
	}
	return map[reflect.Type][]string{
		reflect.TypeFor[act.Scope]():               words(act.Scopes()),
		reflect.TypeFor[incident.Classification](): words(incident.Classifications()),
		reflect.TypeFor[endpoint.State]():          words([]endpoint.State{endpoint.Unknown, endpoint.Released, endpoint.Isolating, endpoint.Isolated, endpoint.Releasing, endpoint.Failed}),
		reflect.TypeFor[endpoint.Why]():            words([]endpoint.Why{endpoint.WhyNever, endpoint.WhyStale, endpoint.WhyUnclear, endpoint.WhyRevoked}),
		reflect.TypeFor[endpoint.Note]():           words([]endpoint.Note{endpoint.NoteIncapable, endpoint.NoteLeak, endpoint.NoteShut, endpoint.NoteNoWayHome, endpoint.NoteNotAs}),
		reflect.TypeFor[endpoint.TrialResult]():    words(endpoint.TrialResults()),
		reflect.TypeFor[act.HitKind]():             words(act.HitKinds()),
		reflect.TypeFor[Profile]():                 profiles,
		reflect.TypeFor[OpenState]():               {string(StateOpen), string(StateClosed)},
		reflect.TypeFor[ReleaseState]():            {string(ReleaseOrdered), string(ReleaseWaits), string(ReleaseWithdrawn)},
	}
}

func words[T ~string](list []T) []string {
	out := make([]string, 0, len(list))
	for _, w := range list {
		out = append(out, string(w))
	}
	return out
}

// schemas collects the JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) of Go types.
type schemas struct {
	named object // by name, under #/components/schemas
	enums map[reflect.Type][]string
}

func newSchemas() *schemas { return &schemas{named: object{}, enums: enums()} }

// of returns the schema of a type; a struct becomes a named one. strict means that
// nothing but what it names is taken, as of inputs.
func (s *schemas) of(t reflect.Type, strict bool) object {
	if words, ok := s.enums[t]; ok {
		if strict {
			return object{"type": "string", "enum": words}
		}
		return object{"type": "string", "examples": words} // there may be more one day
	}
	switch {
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Kind() == reflect.Pointer:
		return s.of(t.Elem(), strict)
	case t.Kind() == reflect.Slice:
		return object{"type": "array", "items": s.of(t.Elem(), strict)}
	case t.Kind() == reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem(), strict)}
	case t.Kind() == reflect.Struct:
		return s.structOf(t, strict)
	case t.Kind() == reflect.Bool:
		return object{"type": "boolean"}
	case t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64:
		return object{"type": "integer", "format": "int64"}
	default:
		return object{"type": "string"}
	}
}

// structOf puts a struct under its name and returns a reference to it.
func (s *schemas) structOf(t reflect.Type, strict bool) object {
	name := nameOf(t)
	ref := object{"$ref": "#/components/schemas/" + name}
	if s.named[name] != nil {
		return ref
	}
	properties, required := object{}, []string{}
	one := object{"type": "object", "properties": properties}
	s.named[name] = one // before the fields, which may hold the type itself
	for _, i := range inputs(t) {
		if i.in != "body" || i.name == "-" {
			continue
		}
		field := s.of(i.field.Type, strict)
		if doc := i.field.Tag.Get("doc"); doc != "" {
			field["description"] = doc
		}
		if most := i.field.Tag.Get("most"); most != "" {
			field["maxLength"], _ = strconv.Atoi(most)
		}
		properties[i.name] = field
		_, options, _ := strings.Cut(i.field.Tag.Get("json"), ",")
		if strict && i.required || !strict && options == "" {
			required = append(required, i.name)
		}
	}
	if len(required) > 0 {
		one["required"] = required
	}
	if strict {
		one["additionalProperties"] = false
	}
	return ref
}

// nameOf is the name of a type in the document: of Page[…/api.Incident] it is PageOfIncident.
func nameOf(t reflect.Type) string {
	name, of, generic := strings.Cut(t.Name(), "[")
	if generic {
		of = strings.TrimSuffix(of, "]")
		name += "Of" + of[strings.LastIndexByte(of, '.')+1:]
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
