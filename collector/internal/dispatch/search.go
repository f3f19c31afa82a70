package dispatch

import "hozen/collector/internal/search"

// Searched says where orders are searched for.
func Searched() search.Source {
	return search.Source{From: "dispatch_command", ID: "id", Name: "verb", Text: "reason", Incident: "incident_id", Endpoint: "endpoint_id", At: "issued_at",
		In: []string{"reason", "issuer"}, Keys: []string{"id"}, Order: "issued_at DESC, id DESC"}
}
