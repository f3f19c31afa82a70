package report

import "hozen/collector/internal/search"

// Searched says where issued documents are searched for.
func Searched() search.Source {
	return search.Source{From: "report_report r JOIN report_version v ON v.report_id = r.id", Organisation: "r.organisation_id", ID: "CAST(r.report_no AS TEXT)", Name: "r.number", Text: "v.title", Incident: "r.incident_id", At: "v.at",
		In:    []string{"r.number", "v.title"},
		Where: "NOT EXISTS (SELECT 1 FROM report_version n WHERE n.report_id = v.report_id AND n.version > v.version)", Order: "v.at DESC, r.id DESC"}
}
