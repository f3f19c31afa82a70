package operator

import "hozen/collector/internal/search"

// Searched says where people are searched for.
func Searched() search.Source {
	return search.Source{From: "operator_operator", ID: "id", Name: "display_name", Text: "name", At: "created_at", In: []string{"name", "display_name"}, Keys: []string{"id"}, Order: "name"}
}
