package evidence

import "hozen/collector/internal/search"

// Searched says where pieces of evidence are searched for, by number, kind and digest.
func Searched() search.Source {
	return search.Source{From: "evidence_items", ID: "id", Name: "CASE WHEN number <> '' THEN number ELSE id END", Text: "name || ' ' || stored_sha256 || ' ' || plain_sha256",
		Incident: "incident_id", Endpoint: "endpoint_id", At: "received_at", In: []string{"number", "name"}, Keys: []string{"id", "acquisition_id", "plain_sha256", "stored_sha256"}, Order: "received_at DESC, number, id"}
}

// SearchedAcquisitions says where acquisitions are searched for.
func SearchedAcquisitions() search.Source {
	return search.Source{From: "evidence_acquisitions", ID: "id", Name: "id", Text: "profile || ' ' || manifest_sha256", Incident: "incident_id", Endpoint: "endpoint_id", At: "received_at",
		In: []string{"profile"}, Keys: []string{"id", "command_id", "alert_id", "manifest_sha256"}, Order: "received_at DESC, id DESC"}
}
