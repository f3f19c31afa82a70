package contact

import "hozen/collector/internal/search"

// Searched says where an organisation's own contacts are searched for.
func Searched() search.Source {
	return search.Source{From: "contact_version v", Organisation: "v.organisation_id", ID: "v.contact_id", Name: "v.name", Text: "v.person || ' ' || v.tel || ' ' || v.mail || ' ' || v.note", At: "v.at",
		In:    []string{"v.name", "v.person", "v.tel", "v.mail", "v.note", "v.reference"},
		Where: "v.removed = 0 AND NOT EXISTS (SELECT 1 FROM contact_version n WHERE n.contact_id = v.contact_id AND n.version > v.version)", Order: "v.name, v.contact_id"}
}
